//! How state is written for snapshots: values one after the other, compact and without names
//! (postcard: integers as varints, floats as their exact bits). Who encodes gives the result a
//! version; who decodes gets it back and trusts nothing else: whatever the bytes are, there is an
//! error or a state that is safe to use.
//!
//! Readers know types by position only. What goes through here must not skip, flatten or tag its
//! fields (`skip_serializing_if`, `flatten`, `tag`, `untagged`), as definitions do; and a field
//! that comes or goes is a new version.

use postcard::{Serializer, ser_flavors::Flavor};
use serde::{Serialize, de::DeserializeOwned};

/// No counter of a decoded state is larger, so that counting on can't overflow.
pub const COUNT_MAX: u64 = 1 << 62;

/// Bytes that are no state this build could have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a build that is too new, or too old; take it to one that reads it, or start
    /// without it.
    #[error("encoding has version {found}; this build reads versions {oldest} to {newest}")]
    Version {
        /// The version of the encoding.
        found: u32,
        /// The oldest version that this build reads.
        oldest: u32,
        /// The newest version that this build reads.
        newest: u32,
    },
    /// The state of something else than what it is decoded for.
    #[error("encoding is of {what} {found}, not {expected}")]
    Other {
        /// What differs.
        what: &'static str,
        /// What the encoding is of.
        found: String,
        /// What it should be of.
        expected: String,
    },
    /// It ends too early or is no encoding at all.
    #[error("damaged encoding")]
    Torn(#[from] postcard::Error),
    /// It has a value that no state has.
    #[error("damaged encoding: impossible {0}")]
    Impossible(&'static str),
}

/// Appends a value.
pub fn put<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = value.serialize(&mut Serializer { output: Appended(out) });
    assert!(written.is_ok(), "memory takes all bytes, and derived types know their lengths");
}

/// Takes a value off the front. Allocates at most in proportion to the bytes there are.
///
/// # Errors
/// [`DecodeError::Torn`]; `bytes` stays as it is then.
pub fn take<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    *bytes = rest;
    Ok(value)
}

/// Takes a counter off the front.
///
/// # Errors
/// [`DecodeError::Torn`], or [`DecodeError::Impossible`] above [`COUNT_MAX`].
pub fn take_count(bytes: &mut &[u8], what: &'static str) -> Result<u64, DecodeError> {
    let count = take(bytes)?;
    ensure(count <= COUNT_MAX, what)?;
    Ok(count)
}

/// Goes on if what was decoded is `possible`. Write conditions positively, so that NaN fails them.
///
/// # Errors
/// [`DecodeError::Impossible`] if not.
pub fn ensure(possible: bool, what: &'static str) -> Result<(), DecodeError> {
    if possible { Ok(()) } else { Err(DecodeError::Impossible(what)) }
}

/// Goes on if the encoding is of what it is decoded for.
///
/// # Errors
/// [`DecodeError::Other`] if not.
pub fn ensure_same<T: PartialEq + std::fmt::Debug>(
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), DecodeError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    Err(DecodeError::Other { what, found, expected })
}

/// Goes on if a build that writes version `newest` reads version `found`: this one and the one
/// before, from 1.
///
/// # Errors
/// [`DecodeError::Version`] if not.
pub fn ensure_version(found: u32, newest: u32) -> Result<(), DecodeError> {
    let oldest = newest.saturating_sub(1).max(1);
    if (oldest..=newest).contains(&found) {
        return Ok(());
    }
    Err(DecodeError::Version { found, oldest, newest })
}

/// Where postcard writes to.
struct Appended<'a>(&'a mut Vec<u8>);

impl Flavor for Appended<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

    use super::*;
    use crate::{
        Contribution, Drift, DriftAction, DriftKind, DriftPolicy, Extras, Flags, Id, Origin, Phase,
        Position, Row,
    };
    use crate::{SeriesRef, Severity, Summary, Track};

    /// Encodes and decodes; every shorter encoding is refused.
    fn back<T: Serialize + DeserializeOwned>(value: &T) -> T {
        let mut bytes = vec![];
        put(value, &mut bytes);
        for len in 0..bytes.len() {
            let mut torn = &bytes[..len];
            assert!(matches!(take::<T>(&mut torn), Err(DecodeError::Torn(_))), "{len} bytes");
            assert_eq!(torn.len(), len, "nothing is taken");
        }
        bytes.push(7);
        let mut rest = &bytes[..];
        let decoded = take(&mut rest).expect("what was encoded can be decoded");
        assert_eq!(rest, [7], "the rest stays");
        decoded
    }

    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
        assert_eq!(back(&value), value);
    }

    #[test]
    fn floats_are_the_same_bits() {
        let wild = [
            f64::NAN.to_bits(),
            (-f64::NAN).to_bits(),
            0x7ff0_0000_0000_0001, // a signalling NaN
            0xfff8_dead_beef_0001,
            f64::INFINITY.to_bits(),
            f64::NEG_INFINITY.to_bits(),
            (-0.0_f64).to_bits(),
            1, // the smallest subnormal
            0x800f_ffff_ffff_ffff,
            f64::MAX.to_bits(),
            1e308_f64.to_bits(),
        ];
        for bits in wild {
            assert_eq!(back(&f64::from_bits(bits)).to_bits(), bits);
            assert_eq!(back(&Some([f64::from_bits(bits)])).map(|x| x[0].to_bits()), Some(bits));
            let bits = (bits >> 32) as u32;
            assert_eq!(back(&f32::from_bits(bits)).to_bits(), bits);
        }
    }

    fn text(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn series() -> SeriesRef {
        let features = [text("cpu"), text("größe"), text("")];
        let (stream, key) = (text("default"), text("host-1"));
        SeriesRef { stream, key, window: Some(text("w")), features: Arc::new(features) }
    }

    fn position() -> Position {
        Position { source: text("records/0"), epoch: u32::MAX, number: u64::MAX }
    }

    fn drift() -> Drift {
        Drift {
            id: Id::of(&[b"x"]),
            position: position(),
            series: series(),
            feature: text("cpu"),
            method: text("adwin"),
            statistic: 1.5,
            bound: 5e-324,
            p_value: 1e-9,
            kind: DriftKind::Missingness,
            features: vec![text("cpu"), text("größe")],
            before: Summary { count: 3, mean: -0.0, deviation: 0.5, quantiles: [1.0; 5] },
            after: Summary { count: 0, mean: 1e308, deviation: 0.0, quantiles: [-1.0; 5] },
            began_row: 2,
            began_at: -9,
            actions: vec![DriftAction { detector: text("d"), policy: DriftPolicy::Widen }],
            row: 7,
            event_at: -1,
            ingested_at: i64::MAX,
            log_time: i64::MIN,
            config_version: 3,
            tags: vec![(text("rack"), text("b2"))],
            traceparent: Some(text("00-1-2-01")),
        }
    }

    #[test]
    fn what_states_hold_comes_back() {
        check(series());
        check(SeriesRef { window: None, features: Arc::new([]), ..series() });
        check(position());
        check(drift());
        check([Phase::Opened, Phase::Updated, Phase::Cleared]);
        check([Severity::Low, Severity::Medium, Severity::High, Severity::Critical]);
        let extras = Extras { tags: drift().tags, traceparent: None, record_id: Some(text("r-1")) };
        let row = Row {
            series: 1,
            row: 1 << 40,
            event_at: -5,
            ingested_at: 5,
            log_time: i64::MIN,
            config_version: 300,
            origin: Origin { source: 1, offset: u64::MAX, index: 9 },
            flags: Flags { late: true, imputed: false, no_data: true },
            values: 3..8,
            extras: Some(Arc::new(extras)),
            drift: Some(Arc::new(drift())),
        };
        check(Row { extras: None, drift: None, ..row.clone() });
        check(row);
        let feature = text("cpu");
        let (share, value, expected) = (0.25, f64::NEG_INFINITY, -0.0);
        check(Contribution { feature, share, value, expected, lower: 1.0, upper: 2.0 });
    }

    #[test]
    fn a_track_goes_on_where_it_was() {
        let mut track = Track::default();
        let at = |number| Position { source: text("records/0"), epoch: 2, number };
        assert_eq!(track.take(&at(1), 10), Ok(0));
        let mut decoded = back(&track);
        assert_eq!(decoded, track);
        assert_eq!(decoded.take(&at(9), 4), Ok(2));
        assert!(decoded.take(&at(14), 1).is_err());

        let mut bytes = vec![];
        put(&BTreeMap::from([("records/0", (1_u32, u64::MAX))]), &mut bytes);
        assert!(take::<Track>(&mut &bytes[..]).is_err(), "there is no next number");
    }

    #[test]
    fn an_impossible_length_allocates_nothing() {
        let mut bytes = vec![];
        put(&u64::MAX, &mut bytes);
        assert!(take::<Vec<f64>>(&mut &bytes[..]).is_err());
        assert!(take::<String>(&mut &bytes[..]).is_err());
        assert!(take::<Vec<Drift>>(&mut &bytes[..]).is_err());
        let impossible = Err(DecodeError::Impossible("number of rows"));
        assert_eq!(take_count(&mut &bytes[..], "number of rows"), impossible);
    }

    #[test]
    fn versions() {
        let check = |newest, expect: &[bool]| {
            for (found, &expect) in (0..).zip(expect) {
                assert_eq!(ensure_version(found, newest).is_ok(), expect, "{found} by {newest}");
            }
        };
        check(1, &[false, true, false, false]);
        check(2, &[false, true, true, false]);
        check(3, &[false, false, true, true, false]);
        let error = ensure_version(4, 2).expect_err("too new");
        let text = "encoding has version 4; this build reads versions 1 to 2";
        assert_eq!(error.to_string(), text);
        let error = ensure_same("a series of values", &3, &2).expect_err("another one");
        assert_eq!(error.to_string(), "encoding is of a series of values 3, not 2");
    }
}
