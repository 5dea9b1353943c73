//! What the tests across crates and processes share. They run the binary that users run, and talk to it as
//! users do: by its command line, signals, topics, HTTP and gRPC.
//!
//! - [`needs`]: what a test can't do without, and how it says that it is skipped;
//! - [`wait`]: waiting for a condition, with a deadline;
//! - [`process`]: the binary: commands that end, and services that run;
//! - [`broker`]: a real Kafka broker, and kcat as a client that is not ours;
//! - [`nab`]: files of the Numenta Anomaly Benchmark as records;
//! - [`offline`]: what `oddwatch score` says of a file;
//! - [`ledger`]: judges what was read from `detection.completed`;
//! - [`oracle`]: judges a whole run by the seven invariants;
//! - [`local`]: the four services in this process;
//! - [`simulation`]: whole runs by seed, with everything that can go wrong.

pub mod broker;
pub mod ledger;
pub mod local;
pub mod nab;
pub mod needs;
pub mod offline;
pub mod oracle;
pub mod process;
pub mod simulation;
pub mod wait;
