//! What only Kafka can go through: no broker there, something else there, and a member that stalls.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use futures::executor::block_on;
use oddwatch_exchange::{
    CommitOutcome, Error, Event, KafkaExchange, KafkaOptions, Partition, Start,
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};

use crate::bed::{Bed, KafkaBed, numbers, output, values};

/// Deletes what lies below an offset, as retention does in its own time.
pub fn delete_records(brokers: &str, partition: &Partition, below: u64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("admin");
    let (number, offset) = (partition.number as i32, Offset::Offset(below as i64));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, number, offset).expect("offset");
    let deleted = block_on(admin.delete_records(&list, &AdminOptions::new())).expect("delete");
    for element in deleted.elements() {
        element.error().expect("delete");
    }
}

/// Connects for one second and returns what is said about the failure.
fn refused(options: KafkaOptions) -> String {
    let options = KafkaOptions { connect_timeout: Duration::from_secs(1), ..options };
    match KafkaExchange::connect(options) {
        Err(Error::Unavailable { what } | Error::Fatal { what }) => what,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}

/// A port that something listens on.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address").to_string();
    (listener, address)
}

#[test]
fn a_broker_that_is_not_there_is_said_in_one_line() {
    let (listener, address) = listener();
    drop(listener);
    let what = refused(KafkaOptions::new(&address, "test"));
    assert!(what.starts_with(&format!("no Kafka broker at {address} within 1s")), "{what}");
    assert!(what.contains("Connection refused"), "{what}");
    assert_eq!(what.lines().count(), 1, "{what}");
}

#[test]
fn a_server_that_is_no_broker_is_said_in_one_line() {
    let (listener, address) = listener();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let what = refused(KafkaOptions::new(&address, "test"));
    assert!(what.starts_with(&format!("no Kafka broker at {address} within 1s")), "{what}");
    assert_eq!(what.lines().count(), 1, "{what}");
}

#[test]
fn a_server_that_says_nothing_is_no_broker() {
    let (listener, address) = listener();
    let what = refused(KafkaOptions::new(&address, "test"));
    assert!(what.ends_with("nothing there answers as a Kafka broker does"), "{what}");
    drop(listener);
}

#[test]
fn what_the_promises_rest_on_is_not_overridden() {
    for name in ["isolation.level", "consumer.enable.auto.commit", "producer.transactional.id"] {
        let mut options = KafkaOptions::new("127.0.0.1:1", "test");
        options.overrides.push((name.into(), "x".into()));
        let what = refused(options);
        assert_eq!(what, format!("the Kafka setting {name} must not be overridden"));
    }
    let mut options = KafkaOptions::new("127.0.0.1:1", "test");
    options.overrides.push(("no.such.setting".into(), "x".into()));
    assert!(refused(options).contains("no.such.setting"));
}

/// The other kind of zombie: not replaced under its name, but given up by the group while it had a batch in hand.
#[test]
fn a_member_that_stalls_loses_its_batch_to_another() {
    let Some(bed) = KafkaBed::open_with("stall", &[("consumer.max.poll.interval.ms", "6000")])
    else {
        return;
    };
    let bed: &dyn Bed = &bed;
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 1));
    bed.append(&topic, 0, numbers(0..5));
    let mut staller = bed.join("staller", &[&topic]);
    staller.begin(Start::Committed);
    staller.read(5);
    let mut other = bed.join("other", &[&topic]);
    // It does not poll, so the group waits, gives it up, and hands everything over.
    let mut owned = 0;
    while owned < 2 {
        owned += other.begin(Start::Committed).len();
    }
    assert_eq!(values(&other.read(5)), numbers(0..5));
    assert_eq!(staller.commit(vec![output(&out, 0, "stale")]), CommitOutcome::Rewound);
    other.committed(vec![output(&out, 0, "fresh")]);
    assert!(matches!(staller.poll(), Event::Revoked(partitions) if partitions.len() == 2));
    assert_eq!(bed.values(&out), ["fresh"]);

    // It may come back, and is of use again.
    bed.append(&topic, 0, numbers(5..8));
    bed.append(&topic, 1, numbers(8..11));
    let mut seen = 0;
    for _ in 0..300 {
        for seat in [&mut staller, &mut other] {
            match seat.poll() {
                Event::Assigned(assignments) => {
                    for assignment in assignments {
                        let started = seat.member.start(&assignment.partition, Start::Committed);
                        started.expect("start");
                    }
                }
                Event::Batch(batch) => {
                    let count: usize = batch.slices.iter().map(|slice| slice.messages.len()).sum();
                    if seat.commit(vec![output(&out, 0, "more")]) == CommitOutcome::Committed {
                        seen += count;
                    }
                }
                Event::Revoked(_) | Event::Idle(_) => {}
            }
        }
        if seen == 6 {
            return;
        }
    }
    panic!("{seen} of 6 messages came");
}
