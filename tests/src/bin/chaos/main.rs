//! Chaos on a real broker: the services' processes are killed, frozen and replaced, their broker too, while records
//! flow; then the oracle judges what came of them. `./dev chaos --kills N --records M --seed S` builds and runs it.
//!
//! - `plan`: which misfortunes happen, by the seed (`dice`);
//! - `run`: a run from its start to its verdict;
//! - `fleet`, `member`, `journal`: the processes, one of them, and what it tells of itself;
//! - `series`, `load`: what is published, by kcat;
//! - `receiver`: webhooks that are broken now and then; `damage`: snapshots that are broken for good;
//! - `watch`, `input`: what the services wrote and what was published, as seen from outside; `outsider`: as kcat
//!   sees it;
//! - `verdict`: the oracle's words, and the line.
//!
//! It prints one line. `kills` counts processes that died by SIGKILL or at a named point (the broker's deaths and
//! frozen processes are not among them); `rebalances`, how often a member of a group was given partitions, rewinds
//! after aborted transactions apart; `recovery_p99_ms` is taken over the times from the start of a process in the
//! place of one that has ended (or from the broker's coming back, if that is later) until all partitions that it has
//! been given are restored and `/readyz` says so. It ends with 1 if anything was lost, doubled or differs, or if a
//! process ended for another reason than it should.

mod damage;
mod dice;
mod fleet;
mod input;
mod journal;
mod load;
mod member;
mod outsider;
mod plan;
mod receiver;
mod run;
mod series;
mod setup;
mod verdict;
mod watch;

use std::{io::Write as _, process::ExitCode};

/// Anything that ends a run without a verdict.
type Failed = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let order = plan::Order::read(&arguments).map_err(Failed::from);
    match order.and_then(run::run) {
        Ok((line, is_good)) => {
            let told = writeln!(std::io::stdout(), "{line}").is_ok();
            if is_good && told { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "chaos: {error}");
            ExitCode::FAILURE
        }
    }
}
