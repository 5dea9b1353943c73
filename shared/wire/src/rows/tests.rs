//! Batches survive their encoding, and any bytes are an error or a batch.

use domain::{LOG_TIME_NONE, SeriesRef};
use proptest::prelude::*;

use super::*;

fn series(key: &str, width: usize) -> SeriesRef {
    SeriesRef {
        stream: "s".into(),
        key: key.into(),
        window: None,
        features: (0..width).map(|i| Arc::from(format!("v{i}"))).collect(),
    }
}

/// Values as bits, so that NaN equals itself.
fn bits(batch: &Batch) -> Vec<u64> {
    batch.values.iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #[test]
    fn a_batch_survives_its_encoding(
        rows in prop::collection::vec(
            (0u32..3, any::<i64>(), any::<i64>(), 0u64..5, any::<bool>(), any::<bool>(), -1e9..1e9f64),
            0..40,
        ),
        ticks in prop::collection::vec((0usize..40, any::<i64>()), 0..4),
    ) {
        let first = Position { source: "records/1".into(), epoch: 2, number: 77 };
        let mut batch = Batch::new(first);
        batch.series = vec![series("a", 1), series("b", 3), series("c", 2)];
        batch.sources = vec!["records/1".into(), "records/2".into()];
        for (index, (which, event_at, ingested_at, version, late, tagged, value)) in
            rows.iter().enumerate()
        {
            let width = batch.series[*which as usize].features.len();
            let mut values = vec![*value; width];
            if *late {
                values[0] = f64::NAN;
            }
            let values = batch.push_values(&values);
            let extras = tagged.then(|| Arc::new(Extras {
                tags: vec![("host".into(), "h1".into())],
                traceparent: Some("00-ab-cd-01".into()),
                record_id: late.then(|| "r-1".into()),
            }));
            batch.items.push(Item::Row(Row {
                series: *which,
                row: index as u64 + 1,
                event_at: *event_at,
                ingested_at: *ingested_at,
                log_time: LOG_TIME_NONE,
                config_version: *version,
                origin: Origin { source: *which % 2, offset: index as u64 * 3, index: 1 },
                flags: Flags { late: *late, imputed: *tagged, no_data: *late && *tagged },
                values,
                extras,
                drift: None,
            }));
        }
        for (at, log_time) in &ticks {
            let log_time = *log_time;
            let forgets = log_time % 3 == 0;
            let item =
                if forgets { Item::Forget { series: 1, log_time } } else { Item::Tick(log_time) };
            batch.items.insert((*at).min(batch.items.len()), item);
        }
        let back = decode_requested(&encode_requested(&batch, Stamps::default())).unwrap();
        prop_assert_eq!(bits(&back), bits(&batch));
        prop_assert_eq!(&back.items, &batch.items);
        prop_assert_eq!(&back.series, &batch.series);
        prop_assert_eq!(&back.first, &batch.first);
        let accepted = decode_accepted(&encode_accepted(&[batch.clone()], Stamps::default())).unwrap();
        prop_assert_eq!(&accepted[0].items, &batch.items);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_batch_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_requested(&bytes);
        let _ = decode_accepted(&bytes);
    }
}

#[test]
fn an_unknown_version_is_refused_by_its_number() {
    let message = v1::DetectionRequested {
        metadata: Some(v1::EventMetadata { version: 9, ..Default::default() }),
        rows: Some(v1::RowColumns::default()),
    };
    let error = decode_requested(&message.encode_to_vec()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "DetectionRequested of layout version 9, this build reads version 1"
    );
}
