//! What ingest remembers of a source, as it stands in the metadata of the committed offset: version 1 is
//! `1:` and base64 of varints: epoch, log time (zigzag), config version, number of targets, their item
//! numbers. With 256 targets and the largest numbers there are it takes 3,472 of 4,000 bytes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::Micros;

const PREFIX: &str = "1:";

/// The memory of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) epoch: u32,
    pub(crate) log_time: Micros,
    /// The config version last in force.
    pub(crate) version: u64,
    /// How many items were written to each target partition.
    pub(crate) numbers: Vec<u64>,
}

impl Memory {
    /// The memory of a source that was never read.
    pub(crate) fn fresh(epoch: u32, targets: usize) -> Self {
        Self { epoch, log_time: domain::LOG_TIME_NONE, version: 0, numbers: vec![0; targets] }
    }

    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(16 + 5 * self.numbers.len());
        push(&mut bytes, self.epoch.into());
        push(&mut bytes, ((self.log_time << 1) ^ (self.log_time >> 63)) as u64);
        push(&mut bytes, self.version);
        push(&mut bytes, self.numbers.len() as u64);
        for &number in &self.numbers {
            push(&mut bytes, number);
        }
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        text
    }

    /// Reads what [`Memory::encode`] wrote for so many targets, or says what is wrong.
    pub(crate) fn decode(text: &str, targets: usize) -> Result<Self, String> {
        let encoded = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| format!("{} does not start with {PREFIX}", super::quoted(text)))?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|error| error.to_string())?;
        let mut rest = bytes.as_slice();
        let mut next = || pull(&mut rest).ok_or("it is torn");
        let epoch = u32::try_from(next()?).map_err(|_| "its epoch is too large")?;
        let log_time = next()?;
        let log_time = (log_time >> 1) as i64 ^ -((log_time & 1) as i64);
        let version = next()?;
        let count = next()?;
        if count != targets as u64 {
            return Err(format!("it is of {count} partitions, there are {targets}"));
        }
        let numbers = (0..targets).map(|_| next()).collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err("something follows it".into());
        }
        Ok(Self { epoch, log_time, version, numbers })
    }
}

fn push(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn pull(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use exchange::METADATA_BYTES_MAX;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_memory_fits() {
        let numbers = vec![u64::MAX; 256];
        let memory = Memory { epoch: u32::MAX, log_time: i64::MIN, version: u64::MAX, numbers };
        let text = memory.encode();
        assert!(text.len() <= METADATA_BYTES_MAX, "{}", text.len());
        assert_eq!(Memory::decode(&text, 256), Ok(memory));
    }

    #[test]
    fn a_memory_that_is_none_says_why() {
        let text = Memory::fresh(1, 4).encode();
        for (text, targets, why) in [
            ("", 4, "does not start"),
            ("2:AAAA", 4, "does not start"),
            ("1:!", 4, "Invalid"),
            ("1:AQE", 4, "torn"),
            (&text, 5, "it is of 4 partitions, there are 5"),
        ] {
            let wrong = Memory::decode(text, targets).unwrap_err();
            assert!(wrong.contains(why), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_memory_survives_its_encoding_within_the_bound(
            epoch in any::<u32>(),
            log_time in any::<i64>(),
            version in any::<u64>(),
            numbers in prop::collection::vec(any::<u64>(), 0..=256),
        ) {
            let memory = Memory { epoch, log_time, version, numbers };
            let text = memory.encode();
            prop_assert!(text.len() <= METADATA_BYTES_MAX && text.is_ascii());
            prop_assert_eq!(Memory::decode(&text, memory.numbers.len()), Ok(memory));
        }

        #[test]
        fn no_text_panics(text in ".{0,100}", targets in 0usize..10) {
            let _ = Memory::decode(&text, targets);
            let _ = Memory::decode(&format!("1:{text}"), targets);
        }
    }
}
