//! The tables and charts of each measurement.

use super::{Bar, Cell, Table};
use crate::{
    Estimate,
    budget::Kept,
    labelled::Quality,
    nab::{PROFILES, Score},
    noise::False,
    robust::{Change, Robustness},
    tune::Ranking,
};

/// The benchmark's scores.
pub fn nab_table(scores: &[Score; 3]) -> Table {
    let mut table = Table::new(&["profile", "score", "threshold"]);
    for Score { profile, score, threshold } in scores {
        let numbers = [Cell::Number(*score, 2), Cell::Number(*threshold, 6)];
        table.push([Cell::text(profile.name)].into_iter().chain(numbers).collect());
    }
    table
}

/// The benchmark's scores.
pub fn nab_bars(scores: &[Score; 3]) -> Vec<Bar> {
    scores.iter().map(|score| Bar::new(score.profile.name, score.score)).collect()
}

fn scores_of(name: &str, scores: [f64; 3]) -> Vec<Cell> {
    let numbers = scores.map(|score| Cell::Number(score, 2));
    [Cell::text(name)].into_iter().chain(numbers).collect()
}

/// What stays of the scores: one line for each change, then the spread over perturbations.
pub fn robust_table(measured: &Robustness) -> Table {
    let mut table = Table::new(&["change", PROFILES[0].name, PROFILES[1].name, PROFILES[2].name]);
    for Change { name, scores } in &measured.changes {
        table.push(scores_of(name, scores.map(|score| score.score)));
    }
    if !measured.perturbed.is_empty() {
        let spreads = [0, 1, 2].map(|profile| measured.spread(profile));
        let count = measured.perturbed.len();
        let mut line = |name: &str, of: fn(&Estimate) -> f64| {
            let name = format!("{count} perturbations of all parameters, {name}");
            table.push(scores_of(&name, [of(&spreads[0]), of(&spreads[1]), of(&spreads[2])]));
        };
        line("mean", |spread| spread.mean);
        line("deviation", |spread| spread.deviation);
        line("least", |spread| spread.least);
        line("most", |spread| spread.most);
    }
    table
}

/// The same on the standard profile; the whisker of the perturbations is from the least to the most.
pub fn robust_bars(measured: &Robustness) -> Vec<Bar> {
    let bar = |change: &Change| Bar::new(change.name.as_str(), change.scores[0].score);
    let mut bars: Vec<Bar> = measured.changes.iter().map(bar).collect();
    let spread = measured.spread(0);
    if spread.count > 0 {
        let name = format!("{} perturbations, least to most", spread.count);
        bars.push(Bar::new(name, spread.mean).within(spread.least, spread.most));
    }
    bars
}

/// False anomalies in 10,000 rows of noise.
pub fn noise_table(all: &[False]) -> Table {
    let mut table = Table::new(&["noise", "false per 10,000 rows", "95 % from", "to", "series"]);
    for False { kind, per_10_000: rate } in all {
        let numbers = [rate.mean, rate.low, rate.high].map(|number| Cell::Number(number, 2));
        let cells = [Cell::text(*kind)].into_iter().chain(numbers);
        table.push(cells.chain([Cell::count(rate.count)]).collect());
    }
    table
}

/// The same with the intervals of the means.
pub fn noise_bars(all: &[False]) -> Vec<Bar> {
    let bar = |one: &False| {
        Bar::new(one.kind, one.per_10_000.mean).within(one.per_10_000.low, one.per_10_000.high)
    };
    all.iter().map(bar).collect()
}

/// Alerts opened for each one that was wanted.
pub fn budget_table(all: &[Kept]) -> Table {
    let mut table =
        Table::new(&["alerts a week", "noise", "opened per wanted", "95 % from", "to", "series"]);
    for Kept { kind, wanted, ratio } in all {
        let numbers = [ratio.mean, ratio.low, ratio.high].map(|number| Cell::Number(number, 2));
        let cells = [Cell::Number(*wanted, 0), Cell::text(kind.unwrap_or("all"))];
        table.push(cells.into_iter().chain(numbers).chain([Cell::count(ratio.count)]).collect());
    }
    table
}

/// The same with the intervals of the means.
pub fn budget_bars(all: &[Kept]) -> Vec<Bar> {
    let bar = |Kept { kind, wanted, ratio }: &Kept| {
        let label = format!("{}, {wanted} a week", kind.unwrap_or("all kinds"));
        Bar::new(label, ratio.mean).within(ratio.low, ratio.high)
    };
    all.iter().map(bar).collect()
}

/// How a detector does on a labelled table.
pub fn quality_table(quality: &Quality) -> Table {
    let mut table = Table::new(&["measure", "value"]);
    let mut line = |name: &str, cell: Cell| table.push(vec![Cell::text(name), cell]);
    line("rows", Cell::count(quality.rows));
    line("labelled rows", Cell::count(quality.labelled));
    line("ROC-AUC", Cell::number(quality.roc_auc, 4));
    line("average precision", Cell::number(quality.average_precision, 4));
    line("precision at the threshold", Cell::number(quality.counts.precision(), 4));
    line("recall at the threshold", Cell::number(quality.counts.recall(), 4));
    line("F1 at the threshold", Cell::number(quality.counts.f1(), 4));
    line("labelled stretches", Cell::count(quality.stretches.len()));
    line("stretches found", Cell::count(quality.found()));
    line("mean delay of those, rows", Cell::number(quality.delay_mean(), 1));
    line("false anomalies", Cell::count(quality.false_anomalies));
    table
}

/// The labelled stretches with their delays.
pub fn stretch_table(quality: &Quality) -> Table {
    let mut table = Table::new(&["series", "first row", "rows", "found after rows"]);
    for stretch in &quality.stretches {
        table.push(vec![
            Cell::text(stretch.key.as_str()),
            Cell::count(stretch.row),
            Cell::count(stretch.rows),
            Cell::number(stretch.delay.map(|rows| rows as f64), 0),
        ]);
    }
    table
}

/// Candidates, best first.
pub fn ranking_table(ranking: &Ranking) -> Table {
    let mut table =
        Table::new(&["rank", "algorithm", "average precision", "over rows", "bytes a series"]);
    for (at, entry) in ranking.entries.iter().enumerate() {
        table.push(vec![
            Cell::count(at + 1),
            Cell::text(entry.algorithm.to_string()),
            Cell::Number(entry.quality, 4),
            Cell::count(entry.rows),
            Cell::count(entry.bytes),
        ]);
    }
    table
}

/// The same for those that were judged on all rows.
pub fn ranking_bars(ranking: &Ranking) -> Vec<Bar> {
    let most = ranking.entries.first().map_or(0, |entry| entry.rows);
    let last = ranking.entries.iter().filter(|entry| entry.rows == most);
    last.map(|entry| Bar::new(entry.algorithm.to_string(), entry.quality)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labelled::{Stretch, judge};

    const SCORES: [Score; 3] = [
        Score { profile: PROFILES[0], score: 70.101, threshold: 0.5 },
        Score { profile: PROFILES[1], score: 63.1, threshold: 0.625 },
        Score { profile: PROFILES[2], score: 74.3, threshold: 0.25 },
    ];

    #[test]
    fn the_benchmarks_scores_are_told() {
        assert_eq!(
            nab_table(&SCORES).csv(),
            "profile,score,threshold\nstandard,70.101,0.5\nreward_low_FP_rate,63.1,0.625\n\
             reward_low_FN_rate,74.3,0.25\n"
        );
        assert_eq!(nab_bars(&SCORES)[1], Bar::new("reward_low_FP_rate", 63.1));
        let change = |name: &str| Change { name: name.into(), scores: SCORES };
        let (changes, perturbed) = (vec![change("as it is")], vec![change("p"), change("q")]);
        let measured = Robustness { changes, perturbed };
        let text = robust_table(&measured).text();
        assert!(text.contains("as it is") && text.contains("2 perturbations"), "{text}");
        assert_eq!((text.lines().count(), robust_bars(&measured).len()), (6, 2));
    }

    #[test]
    fn rates_are_told_with_their_intervals() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0]);
        let all = [False { kind: "white", per_10_000: estimate }];
        let row = noise_table(&all).text().lines().nth(1).unwrap().to_owned();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, ["white", "2.00", "-0.48", "4.48", "3"]);
        assert_eq!(noise_bars(&all)[0].interval, Some((estimate.low, estimate.high)));
        let kept = [Kept { kind: None, wanted: 7.0, ratio: estimate }];
        assert!(budget_table(&kept).csv().contains("\n7,all,2,"));
        assert_eq!(budget_bars(&kept)[0].label, "all kinds, 7 a week");
    }

    #[test]
    fn nothing_known_is_told_as_nothing() {
        let mut quality = judge(&[], &[]);
        quality.stretches.push(Stretch { key: "k".into(), row: 3, rows: 2, delay: None });
        let text = quality_table(&quality).text();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        assert!(line("ROC-AUC").ends_with('-') && line("F1").ends_with('-'), "{text}");
        assert_eq!(line("labelled stretches").split_whitespace().last(), Some("1"));
        assert_eq!(stretch_table(&quality).csv().lines().nth(1), Some("k,3,2,"));
        let ranking = Ranking { entries: vec![], by_labels: false };
        assert!(
            ranking_bars(&ranking).is_empty() && ranking_table(&ranking).csv().contains("rank")
        );
    }
}
