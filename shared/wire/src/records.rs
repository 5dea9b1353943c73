//! What users publish as protobuf: `RecordBatch`, bare or in Confluent's framing.

use prost::Message as _;

use crate::{DecodeError, EVENT_VERSION, check_version, decode, malformed, v1};

const NAME: &str = "RecordBatch";

/// Encodes records as users do.
pub fn encode_records(records: Vec<v1::Record>) -> Vec<u8> {
    v1::RecordBatch { version: EVENT_VERSION, records }.encode_to_vec()
}

/// Reads a `RecordBatch`. A first byte of 0 is Confluent's framing (magic byte, 4 bytes of schema id, message
/// indexes), since no `RecordBatch` starts with it.
///
/// # Errors
/// If the bytes are no such message or of another version.
pub fn decode_records(bytes: &[u8]) -> Result<Vec<v1::Record>, DecodeError> {
    let body = if bytes.first() == Some(&0) { unframe(bytes)? } else { bytes };
    let batch: v1::RecordBatch = decode(NAME, body)?;
    check_version(NAME, if batch.version == 0 { EVENT_VERSION } else { batch.version })?;
    Ok(batch.records)
}

fn unframe(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let torn = || malformed(NAME, "torn Confluent framing");
    let mut rest = bytes.get(5..).ok_or_else(torn)?;
    // The count and the indexes are zigzag varints; a count of 0 stands for the one index 0.
    let mut left = zigzag(&mut rest).ok_or_else(torn)?;
    while left > 0 {
        zigzag(&mut rest).ok_or_else(torn)?;
        left -= 1;
    }
    Ok(rest)
}

fn zigzag(rest: &mut &[u8]) -> Option<i64> {
    let value = prost::encoding::decode_varint(rest).ok()?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> v1::Record {
        v1::Record { series: "a".into(), time_us: 5, value_list: vec![1.5], ..Default::default() }
    }

    #[test]
    fn bare_and_framed_records_are_read() {
        let bare = encode_records(vec![record()]);
        assert_eq!(decode_records(&bare).unwrap(), [record()]);
        for indexes in [&[0u8][..], &[2, 0], &[4, 2, 0]] {
            let framed = [&[0, 0, 0, 0, 7], indexes, &bare].concat();
            assert_eq!(decode_records(&framed).unwrap(), [record()]);
        }
    }

    #[test]
    fn torn_and_unknown_records_are_refused() {
        let bare = encode_records(vec![record()]);
        assert!(decode_records(&bare[..bare.len() - 3]).is_err());
        assert!(decode_records(&[0, 0, 0]).is_err());
        let newer = v1::RecordBatch { version: 2, records: vec![] }.encode_to_vec();
        assert!(matches!(
            decode_records(&newer),
            Err(DecodeError::UnknownVersion { found: 2, .. })
        ));
    }
}
