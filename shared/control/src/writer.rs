//! Appends entries to the `control` log.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Definition, Micros, Skip, Topics};
use exchange::{Append, Exchange, Output, Place};

use crate::Error;

/// Appends to the log; answers when an entry is durable.
#[derive(Clone)]
pub struct ControlWriter {
    appender: Arc<dyn Append>,
    topic: Arc<str>,
}

impl ControlWriter {
    /// A writer to the log that these topics name.
    ///
    /// # Errors
    /// If the exchange can't be reached.
    pub fn open(exchange: &dyn Exchange, topics: &Topics) -> Result<Self, Error> {
        Ok(Self { appender: exchange.appender()?, topic: topics.control.clone() })
    }

    /// Appends a definition and returns the config version that it makes.
    ///
    /// # Errors
    /// If the exchange does not take it.
    pub fn append(&self, definition: &Definition, now: Micros) -> Result<u64, Error> {
        let output = Output {
            topic: self.topic.clone(),
            partition: Some(0),
            key: Some(Bytes::from(definition.key())),
            value: Some(Bytes::from(wire::control::encode_definition(definition, now))),
            headers: vec![],
        };
        let written = self.appender.append(vec![output])?;
        tracing::info!(definition = definition.key(), "appended to control");
        Ok(written.first().map_or(0, |(_, offset)| offset + 1))
    }

    /// Writes down that `service` skips an item from now on. Returns the config version.
    ///
    /// # Errors
    /// As [`ControlWriter::append`].
    pub fn skip(&self, service: &str, place: &Place, why: &str, now: Micros) -> Result<u64, Error> {
        let skip = Skip {
            service: service.to_owned(),
            partition: place.partition.to_string(),
            offset: place.offset,
            item: place.item,
            why: why.to_owned(),
        };
        self.append(&Definition::Skip(skip), now)
    }
}
