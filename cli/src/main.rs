//! `oddwatch`: the services, and the commands people use. Assembles and nothing else.

mod alerts;
mod args;
mod assembly;
mod demo;
mod eval;
mod explain;
mod failure;
mod feedback;
mod publish;
mod score;
mod services;
mod settings;
mod tail;
mod tune;

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    // Both TLS users (webhooks, NATS) share one provider; a second one installed before is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match args::run(args::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "oddwatch: {failure}");
            failure.exit_code()
        }
    }
}
