//! Topics, appending and following.

use bytes::Bytes;
use oddwatch_exchange::{
    CommitOutcome, Error, Fault, FollowFrom, Output, Partition, Start, TopicInfo, murmur2_partition,
};

use crate::{
    bed::{Bed, numbers, output, partition, spec, text},
    releases::{forgetful, overrun},
};

pub fn append_answers_when_durable(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    let appender = bed.exchange().appender().expect("appender");
    let messages = (0..10).map(|i| output(&topic, i % 2, &i.to_string())).collect();
    let places = appender.append(messages).expect("append");
    let expect: Vec<(u32, u64)> = (0..10).map(|i| (i % 2, u64::from(i) / 2)).collect();
    assert_eq!(places, expect);
    let written = bed.everything(&topic);
    let expect = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9].map(|i: u32| (i % 2, i.to_string()));
    assert_eq!(written, expect);
    assert_eq!(appender.append(Vec::new()).expect("append nothing"), []);
}

pub fn follow_needs_no_group(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), bed.topic("out", 2));
    let mut follower = bed.exchange().follow(&out, FollowFrom::Earliest).expect("follow");
    assert!(follower.caught_up().expect("caught up with nothing"));
    bed.append(&topic, 0, numbers(0..1));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(1);
    // Aborted in between: markers and gaps that a follower must get over.
    for (fault, value) in [(None, "0"), (Some(Fault::Rewind), "aborted"), (None, "1")] {
        bed.faults().plan(fault);
        let outcome = seat.commit(vec![output(&out, 0, value), output(&out, 1, value)]);
        if outcome == CommitOutcome::Rewound {
            seat.poll();
            seat.begin(Start::Committed);
        }
    }
    let mut found = Vec::new();
    for _ in 0..300 {
        found.extend(follower.next(std::time::Duration::from_millis(100), 1).expect("next"));
        if follower.caught_up().expect("caught up") {
            break;
        }
    }
    let mut found: Vec<_> = found.iter().map(|(number, m)| (*number, text(m))).collect();
    found.sort();
    assert_eq!(found, [(0, "0"), (0, "1"), (1, "0"), (1, "1")].map(|(n, v)| (n, v.to_owned())));
}

pub fn a_follower_of_the_end_sees_only_what_is_new(bed: &dyn Bed) {
    let topic = bed.topic("in", 2);
    bed.append(&topic, 0, numbers(0..5));
    let mut follower = bed.exchange().follow(&topic, FollowFrom::Latest).expect("follow");
    assert!(follower.caught_up().expect("caught up"));
    bed.append(&topic, 0, numbers(5..6));
    bed.append(&topic, 1, numbers(6..7));
    let mut found = Vec::new();
    for _ in 0..300 {
        found.extend(follower.next(std::time::Duration::from_millis(100), 10).expect("next"));
        if found.len() >= 2 {
            break;
        }
    }
    let mut found: Vec<_> = found.iter().map(|(number, m)| (*number, text(m))).collect();
    found.sort();
    assert_eq!(found, [(0, "5".to_owned()), (1, "6".to_owned())]);
}

pub fn keys_are_placed_as_by_the_java_clients(bed: &dyn Bed) {
    let (topic, input) = (bed.topic("keyed", 7), bed.topic("in", 1));
    let keyed = |key: &str| Output {
        topic: topic.clone(),
        partition: None,
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(key.as_bytes())),
        headers: Vec::new(),
    };
    let keys: Vec<String> = (0..40).map(|i| format!("series-{i}")).collect();
    let expect: Vec<u32> = keys.iter().map(|key| murmur2_partition(key.as_bytes(), 7)).collect();
    let appender = bed.exchange().appender().expect("appender");
    let places = appender.append(keys.iter().map(|key| keyed(key)).collect()).expect("append");
    assert_eq!(places.iter().map(|place| place.0).collect::<Vec<_>>(), expect);

    // The same through a transaction.
    bed.append(&input, 0, numbers(0..1));
    let mut seat = bed.join("a", &[&input]);
    seat.begin(Start::Committed);
    seat.read(1);
    seat.committed(keys.iter().map(|key| keyed(key)).collect());
    let everything = bed.everything(&topic);
    assert_eq!(everything.len(), 80);
    for (number, key) in everything {
        assert_eq!(number, murmur2_partition(key.as_bytes(), 7), "{key}");
    }
}

pub fn topics_are_as_asked_for_or_refused(bed: &dyn Bed) {
    let topic = bed.topic("in", 3);
    let exchange = bed.exchange();
    let found = exchange.topic(&topic).expect("topic");
    assert_eq!(found, Some(TopicInfo { name: topic.clone(), partitions: 3 }));
    exchange.create_topics(&[spec(&topic, 3)]).expect("the same again");
    match exchange.create_topics(&[spec(&topic, 4)]) {
        Err(Error::Topic { what }) => {
            assert!(what.contains(&*topic), "{what}");
            assert!(what.contains("has 3 partitions, 4 expected"), "{what}");
        }
        other => panic!("{other:?}"),
    }
}

pub fn a_topic_of_no_name_is_named(bed: &dyn Bed) {
    let exchange = bed.exchange();
    let nowhere: std::sync::Arc<str> = format!("{}nowhere", bed.prefix()).into();
    let named = |result: Result<(), Error>| match result {
        Err(Error::Topic { what }) => assert!(what.contains(&*nowhere), "{what}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(exchange.topic(&nowhere).expect("topic"), None);
    named(exchange.join(&bed.group("a", &[&nowhere])).map(drop));
    named(exchange.follow(&nowhere, FollowFrom::Earliest).map(drop));
    let appender = exchange.appender().expect("appender");
    named(appender.append(vec![output(&nowhere, 0, "x")]).map(drop));
    let topic = bed.topic("in", 1);
    let outside = appender.append(vec![output(&topic, 7, "x")]);
    assert!(matches!(outside, Err(Error::Topic { .. })), "{outside:?}");
}

pub fn headers_keys_and_tombstones_survive(bed: &dyn Bed) {
    let topic = bed.topic("in", 1);
    let full = Output {
        topic: topic.clone(),
        partition: Some(0),
        key: Some(Bytes::from_static(b"key")),
        value: Some(Bytes::new()),
        headers: vec![
            ("trace".into(), Bytes::from_static(&[0, 255])),
            ("trace".into(), Bytes::new()),
        ],
    };
    let tombstone = Output { value: None, headers: Vec::new(), ..full.clone() };
    let appender = bed.exchange().appender().expect("appender");
    appender.append(vec![full.clone(), tombstone.clone()]).expect("append");
    let mut follower = bed.exchange().follow(&topic, FollowFrom::Earliest).expect("follow");
    let mut found = Vec::new();
    for _ in 0..300 {
        found.extend(follower.next(std::time::Duration::from_millis(100), 10).expect("next"));
        if found.len() == 2 {
            break;
        }
    }
    for ((_, message), output) in found.iter().zip([full, tombstone]) {
        assert_eq!(message.key, output.key);
        assert_eq!(message.value, output.value);
        assert_eq!(message.headers, output.headers);
        assert!(message.timestamp_ms > 1_600_000_000_000, "{}", message.timestamp_ms);
    }
    assert_eq!(found.len(), 2);
}

pub fn written_tells_of_what_was_ever_committed(bed: &dyn Bed) {
    let exchange = bed.exchange();
    let (topic, out) = (bed.topic("in", 2), bed.topic("out", 3));
    let written = |number: u32| exchange.written(&partition(&out, number)).expect("written");
    assert_eq!([0, 1, 2].map(written), [false; 3]);
    bed.append(&topic, 0, numbers(0..5));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(5);
    // What was aborted was never there, though Kafka spends offsets on it.
    bed.faults().plan([Fault::Rewind]);
    assert_eq!(seat.commit(vec![output(&out, 0, "aborted")]), CommitOutcome::Rewound);
    assert_eq!([0, 1, 2].map(written), [false; 3]);
    seat.poll();
    seat.begin(Start::Committed);
    seat.read(5);
    seat.committed(vec![output(&out, 1, "committed")]);
    bed.append(&out, 2, numbers(0..1));
    assert_eq!([0, 1, 2].map(written), [false, true, true]);
    // Offsets alone are no message, neither where they are kept nor where they were read.
    assert!(exchange.written(&partition(&topic, 0)).expect("written"));
    assert!(!exchange.written(&partition(&topic, 1)).expect("written"));
}

pub fn what_was_written_stays_written_when_it_is_gone(bed: &dyn Bed) {
    let (topic, out) = (bed.topic("in", 1), forgetful(bed, "out", 1));
    bed.append(&topic, 0, numbers(0..1));
    let mut seat = bed.join("a", &[&topic]);
    seat.begin(Start::Committed);
    seat.read(1);
    seat.committed(vec![output(&out, 0, "first")]);
    let kept = overrun(bed, &out, 0);
    assert!(kept > 0, "nothing has gone");
    assert!(bed.exchange().written(&partition(&out, 0)).expect("written"));
}

pub fn a_partition_of_no_topic_was_not_written(bed: &dyn Bed) {
    let (exchange, topic) = (bed.exchange(), bed.topic("in", 2));
    let nowhere = format!("{}nowhere", bed.prefix());
    for (name, number) in [(nowhere.as_str(), 0), (&*topic, 2)] {
        match exchange.written(&Partition::new(name, number)) {
            Err(Error::Topic { what }) => assert!(what.contains(name), "{what}"),
            other => panic!("{other:?}"),
        }
    }
}
