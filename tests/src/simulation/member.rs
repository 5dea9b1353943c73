//! A member of any of the four services.

use std::error::Error;

use detector::Detection;
use exchange::{PollLimits, Processor, Step, Worker};
use ingest::{Finish, IngestProcessor};
use notification::NotificationProcessor;
use stage::StageProcessor;
use windowing::Windowing;

use super::{
    deadly::{Haunted, kills_ingest, kills_notification},
    luck::{AS_PLANNED, Luck},
    unlucky::{Fate, Kills, Unlucky},
};
use crate::local::{Failed, Local};

/// A worker of a service.
pub(crate) struct Member {
    pub(crate) service: &'static str,
    pub(crate) name: String,
    /// It makes no step before this turn.
    pub(crate) stalled_until: u64,
    worker: Any,
    /// What ends ingest's input.
    finish: Option<Finish>,
}

enum Any {
    Ingest(Box<Worker<Unlucky<IngestProcessor>>>),
    Windowing(Box<Worker<Unlucky<StageProcessor<Haunted<Windowing>>>>>),
    Detector(Box<Worker<Unlucky<StageProcessor<Haunted<Detection>>>>>),
    Notification(Box<Worker<Unlucky<NotificationProcessor>>>),
}

/// How a member ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It died, as was planned.
    AsPlanned,
    /// Another one of its name has taken over.
    Fenced,
    /// Nobody planned that.
    Failed(String),
}

impl Member {
    /// A member that joins now.
    pub(crate) fn join(
        local: &Local,
        service: &'static str,
        name: String,
        limits: PollLimits,
        luck: &Luck,
    ) -> Result<Self, Failed> {
        let fate = |kills: Kills| -> Result<Fate, Failed> {
            let (luck, topics) = (luck.clone(), local.topics.clone());
            Ok(Fate { service, luck, topics, control: local.control()?, kills })
        };
        let sections = &local.sections;
        let mut finish = None;
        let worker = match service {
            "ingest" => {
                let (group, processor) = local.ingest(&name)?;
                finish = Some(processor.finish());
                let unlucky = Unlucky::new(processor, fate(kills_ingest)?);
                Any::Ingest(Box::new(local.worker((group, unlucky), limits)?))
            }
            "windowing" => {
                let stage = Haunted(Windowing::new(sections.windowing.clone()));
                let group = StageProcessor::<Haunted<Windowing>>::group(&local.topics, &name);
                let processor = StageProcessor::new(stage, local.stage()?);
                let unlucky = Unlucky::new(processor, fate(|_, _, _| None)?);
                Any::Windowing(Box::new(local.worker((group, unlucky), limits)?))
            }
            "detector" => {
                let stage = Haunted(Detection::new(sections.detector.clone()));
                let group = StageProcessor::<Haunted<Detection>>::group(&local.topics, &name);
                let processor = StageProcessor::new(stage, local.stage()?);
                let unlucky = Unlucky::new(processor, fate(|_, _, _| None)?);
                Any::Detector(Box::new(local.worker((group, unlucky), limits)?))
            }
            _ => {
                let (group, processor) = local.notification(&name)?;
                let unlucky = Unlucky::new(processor, fate(kills_notification)?);
                Any::Notification(Box::new(local.worker((group, unlucky), limits)?))
            }
        };
        Ok(Self { service, name, stalled_until: 0, worker, finish })
    }

    /// One turn of its loop.
    pub(crate) fn step(&mut self) -> Result<Step, Ended> {
        match &mut self.worker {
            Any::Ingest(worker) => step(worker),
            Any::Windowing(worker) => step(worker),
            Any::Detector(worker) => step(worker),
            Any::Notification(worker) => step(worker),
        }
    }

    /// Says that no more input comes.
    pub(crate) fn finish(&self) {
        if let Some(finish) = &self.finish {
            finish.when_idle();
        }
    }
}

fn step<P: Processor>(worker: &mut Worker<P>) -> Result<Step, Ended>
where
    P::Error: Error,
{
    worker.step().map_err(|error| match in_full(&error) {
        text if text.contains(AS_PLANNED) => Ended::AsPlanned,
        text if text.contains("was fenced") => Ended::Fenced,
        text => Ended::Failed(text),
    })
}

/// An error with all that led to it.
fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Keeps the words of planned panics out of the test's output; those of others are shown.
pub(crate) fn quiet_planned_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or_default();
            if !text.contains(AS_PLANNED) {
                before(panic);
            }
        }));
    });
}
