//! The gRPC front door: `Publish` and `PublishStream`.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use exchange::Output;
use futures::StreamExt as _;
use tonic::{Request, Response, Status, Streaming, codec::CompressionEncoding};
use wire::v1::{
    PublishRequest, PublishResponse, PublishStreamRequest, PublishStreamResponse, Record,
    ingest_service_server::{IngestService, IngestServiceServer},
};

use crate::door::{Encoded, FrontDoor, PublishError, RETRY_SECONDS, check_count};

const DOOR: &str = "grpc";

/// The service, to be added to a server.
pub fn service(door: FrontDoor) -> IngestServiceServer<GrpcDoor> {
    let bytes_max = door.config().publish_bytes_max;
    IngestServiceServer::new(GrpcDoor::new(door))
        .max_decoding_message_size(bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
}

/// Handlers of `IngestService`.
pub struct GrpcDoor(FrontDoor);

impl GrpcDoor {
    /// Handlers without a server.
    pub fn new(door: FrontDoor) -> Self {
        Self(door)
    }

    async fn append(&self, stream: String, records: Vec<Record>) -> Result<u64, Status> {
        let config = self.0.config();
        check_count(records.len(), config.publish_records_max).map_err(status)?;
        // A message of this size is certainly not refused for it by ingest.
        let bytes_max = config.message_bytes_max;
        let records_max = config.records_per_message_max;
        let encode = move |topic: &Arc<str>, _: &_| encode(topic, records, bytes_max, records_max);
        self.0.publish(DOOR, stream, encode).await.map_err(status)
    }
}

#[tonic::async_trait]
impl IngestService for GrpcDoor {
    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let PublishRequest { stream, records } = request.into_inner();
        let records = self.append(stream, records).await?;
        Ok(Response::new(PublishResponse { records }))
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<PublishStreamResponse>, Status> {
        let mut requests = request.into_inner();
        let mut durable = 0;
        // One request at a time: the client is held back by flow control, and order is kept.
        while let Some(request) = requests.next().await {
            let PublishStreamRequest { stream, records } = request?;
            let appended = self.append(stream, records).await;
            durable += appended.map_err(|error| behind(durable, &error))?;
        }
        Ok(Response::new(PublishStreamResponse { records: durable }))
    }
}

/// The error of a stream of which so many records are durable.
fn behind(durable: u64, error: &Status) -> Status {
    let message = format!("{} ({durable} records before are durable)", error.message());
    Status::with_metadata(error.code(), message, error.metadata().clone())
}

/// Groups records by series, in the order in which series appear first: a message holds records of one series
/// and is placed by its key, so the order within a series is kept.
fn encode(
    topic: &Arc<str>,
    records: Vec<Record>,
    bytes_max: usize,
    records_max: usize,
) -> Result<Encoded, PublishError> {
    struct Group {
        bytes: usize,
        records: Vec<Record>,
    }
    let count = records.len();
    let mut groups: Vec<Group> = vec![];
    let mut open: HashMap<String, usize> = HashMap::new();
    for (index, record) in records.into_iter().enumerate() {
        let bytes = size(&record);
        // The key, and the version, stand once in each message.
        let room = bytes_max.saturating_sub(record.series.len() + 8);
        if bytes > room {
            return Err(PublishError::TooLarge(format!(
                "record {index} has some {bytes} bytes, at most {room} are taken"
            )));
        }
        match open.get(&record.series).map(|&at| &mut groups[at]) {
            Some(group) if group.bytes + bytes <= room && group.records.len() < records_max => {
                group.bytes += bytes;
                group.records.push(record);
            }
            _ => {
                open.insert(record.series.clone(), groups.len());
                groups.push(Group { bytes, records: vec![record] });
            }
        }
    }
    let messages = groups.into_iter().map(|group| {
        let series = group.records.first().map(|record| record.series.clone());
        Output {
            topic: topic.clone(),
            partition: None,
            key: series.filter(|series| !series.is_empty()).map(Bytes::from),
            value: Some(Bytes::from(wire::records::encode_records(group.records))),
            headers: vec![],
        }
    });
    Ok(Encoded { messages: messages.collect(), records: count })
}

/// A record's size when encoded, or a little more.
fn size(record: &Record) -> usize {
    const FIELD: usize = 8;
    let text = |text: &String| text.len() + FIELD;
    let values = record.values.keys().map(|name| text(name) + 2 * FIELD).sum::<usize>();
    let tags = record.tags.iter().map(|(k, v)| text(k) + text(v) + FIELD).sum::<usize>();
    let lists = record.value_list.len() * FIELD + record.missing.len() * FIELD;
    let texts = [&record.series, &record.traceparent, &record.record_id].map(text);
    texts.iter().sum::<usize>() + values + tags + lists + 6 * FIELD
}

fn status(error: PublishError) -> Status {
    let message = error.to_string();
    match error {
        PublishError::NoStream(_) => Status::not_found(message),
        PublishError::Invalid(_) | PublishError::TooLarge(_) | PublishError::WrongFormat(_) => {
            Status::invalid_argument(message)
        }
        PublishError::Busy(_) => {
            let mut status = Status::resource_exhausted(message);
            // gRPC's own word for when to try again.
            let pushback = (RETRY_SECONDS * 1_000).into();
            status.metadata_mut().insert("grpc-retry-pushback-ms", pushback);
            status
        }
        PublishError::Unavailable(_) => Status::unavailable(message),
        PublishError::Failed(_) => Status::internal(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(series: &str, time_us: i64) -> Record {
        Record { series: series.into(), time_us, value_list: vec![1.0], ..Record::default() }
    }

    /// Keys of the messages and the times in each.
    fn check(records: Vec<Record>, bytes_max: usize, expected: &[(Option<&str>, &[i64])]) {
        let encoded = encode(&"t".into(), records, bytes_max, 3).unwrap();
        let found: Vec<(Option<String>, Vec<i64>)> = encoded
            .messages
            .iter()
            .map(|message| {
                let value = message.value.as_ref().unwrap();
                assert!(message.size() <= bytes_max);
                let records = wire::records::decode_records(value).unwrap();
                let key = message.key.as_ref().map(|k| String::from_utf8(k.to_vec()).unwrap());
                (key, records.iter().map(|r| r.time_us).collect())
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(k, times)| (k.map(String::from), times.to_vec())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn records_are_grouped_by_series_in_order() {
        let mixed = [("a", 1), ("b", 2), ("a", 3), ("", 4), ("a", 5), ("a", 6)];
        let records: Vec<_> =
            mixed.into_iter().map(|(series, time)| record(series, time)).collect();
        let groups: [(Option<&str>, &[i64]); 4] =
            [(Some("a"), &[1, 3, 5]), (Some("b"), &[2]), (None, &[4]), (Some("a"), &[6])];
        check(records.clone(), 10_000, &groups);
        check(
            records[..3].to_vec(),
            90,
            &[(Some("a"), &[1]), (Some("b"), &[2]), (Some("a"), &[3])],
        );
        let error = encode(&"t".into(), records, 50, 3).err().unwrap();
        assert!(error.to_string().contains("record 0 has some"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn the_size_is_never_underrated(
            series in ".{0,20}",
            values in proptest::collection::btree_map(".{0,9}", proptest::prelude::any::<f64>(), 0..9),
            list in proptest::collection::vec(proptest::prelude::any::<f64>(), 0..9),
            missing in proptest::collection::vec(proptest::prelude::any::<u32>(), 0..9),
            tags in proptest::collection::btree_map(".{0,9}", ".{0,200}", 0..9),
            time_us in proptest::prelude::any::<i64>(),
            record_id in ".{0,20}",
        ) {
            let traceparent = "00-x".into();
            let record = Record {
                series, time_us, values, value_list: list, missing, tags, traceparent, record_id,
            };
            let bound = size(&record);
            proptest::prop_assert!(wire::records::encode_records(vec![record]).len() <= bound + 8);
        }
    }
}
