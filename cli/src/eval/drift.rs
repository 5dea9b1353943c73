//! `oddwatch eval drift`: how often tests for drift find one where there is none, and how soon one that is there.

use std::{fs, path::PathBuf};

use ::eval::{
    drift::{DEFAULT, Plan, Tests, WITHIN, delays, false_alarms},
    report,
};

use super::output::{Bar, say, tell, write};
use crate::failure::Failure;

#[derive(clap::Args)]
pub(super) struct DriftArgs {
    /// One test, or `default`: those of a stream that names none [default: `default`, then each test alone].
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    /// Rows between two false alarms that are asked for [default: 50,000, but 10,000 for false alarms of each test
    /// alone].
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    run_length: Option<u64>,
    /// Few and short series, of 1 and 5 values: seconds instead of minutes, with wide intervals.
    #[arg(long)]
    quick: bool,
    /// The folder for `false_alarms.csv`, `delays.csv`, `seeds.csv`, `false_alarms.svg` and `delays.svg`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &DriftArgs) -> Result<(), Failure> {
    let tests = tests(args.detector.as_deref())?;
    if let Some(out) = &args.out {
        fs::create_dir_all(out)
            .map_err(|error| Failure::other(format!("{}: {error}", out.display())))?;
    }
    let plan = if args.quick { Plan::quick() } else { Plan::full() };
    let plan = Plan { run_length: args.run_length, ..plan };
    let bar = Bar::new("series without a change");
    let stationary = false_alarms(&tests, &plan, &bar.progress());
    bar.end();
    let bar = Bar::new("series with a change");
    let changed = delays(&tests, &plan, &bar.progress());
    bar.end();
    let (alarm_table, delay_table) =
        (report::false_alarm_table(&stationary), report::delay_table(&changed));
    if let Some(out) = &args.out {
        write(&out.join("false_alarms.csv"), &alarm_table.csv())?;
        write(&out.join("delays.csv"), &delay_table.csv())?;
        let seeds = report::drift_seed_table(&stationary, &changed);
        write(&out.join("seeds.csv"), &seeds.csv())?;
        let axis = "false alarms for each one wanted, 1 is right (95 % interval)";
        let bars = report::false_alarm_bars(&stationary);
        write(
            &out.join("false_alarms.svg"),
            &report::svg("Drifts where there are none", axis, &bars),
        )?;
        let axis = "mean rows until it is found, of those found (95 % interval)";
        let bars = report::delay_bars(&changed);
        let values = changed.first().map_or(1, |one| one.values);
        let title = format!("Delay of a drift: {}, values of a row: {values}", tests[0].name);
        write(&out.join("delays.svg"), &report::svg(&title, axis, &bars))?;
        tell(&format!("files are in {}", out.display()))?;
    }
    say(&format!(
        "Drifts found in series without a change, from row 1 on\n\n{}\n\
         Drifts at row 5,000 of which one is told within {WITHIN} rows\n\n{}",
        alarm_table.text(),
        delay_table.text()
    ))
}

fn tests(name: Option<&str>) -> Result<Vec<Tests>, Failure> {
    let all = Tests::all();
    let Some(name) = name else { return Ok(all) };
    let names: Vec<&str> = all.iter().map(|tests| tests.name).collect();
    let unknown = || {
        Failure::usage(format!(
            "--detector: there is no test {name:?}; there are {DEFAULT} and {}",
            names[1..].join(", ")
        ))
    };
    let found = all.iter().find(|tests| tests.name == name).ok_or_else(unknown)?;
    Ok(vec![found.clone()])
}
