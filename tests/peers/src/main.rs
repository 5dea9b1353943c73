//! Our algorithms and the AWS random cut forest on the rows that other peers get too: one run of one of them,
//! a line of figures on stdout. `scripts/peers.sh` runs all of them in turn.
//!
//! The AWS forest is the crate `krcf`, a copy of the Rust port in aws/random-cut-forest-by-aws; it is in this
//! crate alone, so that the product is built without it.

mod alike;
mod auc;
mod speed;
mod works;

use std::process::ExitCode;

const USAGE: &str = "usage: peers rows FOLDER
       peers works
       peers speed model|verdict|aws|aws-small WORK FOLDER SECONDS
       peers auc DATA";

#[allow(clippy::print_stderr, reason = "what is wrong with the arguments")]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["rows", folder] => works::write_rows(folder.as_ref()),
        ["works"] => works::list(),
        ["speed", who, work, folder, seconds] => speed::run(who, work, folder.as_ref(), seconds),
        ["auc", data] => auc::run(data.as_ref()),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
