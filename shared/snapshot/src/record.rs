//! The records that a snapshot's body is made of: an item's index, its length, its bytes. Numbers
//! are varints (seven bits a byte, the lowest first).

/// An item as it stands in a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Its index among the items.
    pub(crate) index: u32,
    /// What it wrote of itself.
    pub(crate) bytes: &'a [u8],
}

/// Appends a record.
pub(crate) fn put_record(out: &mut Vec<u8>, index: usize, bytes: &[u8]) {
    put_varint(out, index as u64);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The record that `bytes` begin with and its length in them; `None` if more bytes are needed.
///
/// # Errors
/// What is wrong with the record.
pub(crate) fn record(bytes: &[u8]) -> Result<Option<(Record<'_>, usize)>, String> {
    let Some((index, of_index)) = varint(bytes)? else { return Ok(None) };
    let index =
        u32::try_from(index).map_err(|_| format!("a record's index {index} exceeds 32 bits"))?;
    let Some((bytes, of_bytes)) = counted(&bytes[of_index..])? else { return Ok(None) };
    Ok(Some((Record { index, bytes }, of_index + of_bytes)))
}

/// The bytes that `bytes` begin with, after their length, and the length of both; `None` if more
/// are needed.
///
/// # Errors
/// What is wrong with the length.
pub(crate) fn counted(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    let Some((length, start)) = varint(bytes)? else { return Ok(None) };
    let end = usize::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length))
        .ok_or_else(|| format!("a length of {length} bytes"))?;
    Ok(bytes.get(start..end).map(|counted| (counted, end)))
}

fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, String> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * place.min(9));
        if place > 9 || shifted >> (7 * place) != bits {
            return Err("a number of more than 64 bits".to_owned());
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(index: usize, bytes: &[u8]) {
        let mut out = vec![];
        put_record(&mut out, index, bytes);
        let length = out.len();
        for cut in 0..length {
            assert_eq!(record(&out[..cut]), Ok(None), "{index} cut to {cut}");
        }
        out.extend_from_slice(b"next");
        let expected = Record { index: index as u32, bytes };
        assert_eq!(record(&out), Ok(Some((expected, length))));
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        check(0, b"");
        check(127, b"a");
        check(128, &[7; 127]);
        check(16_383, &[7; 128]);
        check(16_384, &[0xff; 16_384]);
        check(u32::MAX as usize, b"last");
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let check = |bytes: &[u8], expected: Result<Option<(u64, usize)>, &str>| {
            assert_eq!(varint(bytes), expected.map_err(str::to_owned), "{bytes:?}");
        };
        let mut most = vec![];
        put_varint(&mut most, u64::MAX);
        check(&most, Ok(Some((u64::MAX, 10))));
        check(&[0x80; 9], Ok(None));
        check(&[&[0xff; 9][..], &[2]].concat(), Err("a number of more than 64 bits"));
        check(&[0x80; 11], Err("a number of more than 64 bits"));
        let mut large = vec![];
        put_varint(&mut large, 1 << 32);
        assert!(record(&large).unwrap_err().contains("4294967296"));
    }
}
