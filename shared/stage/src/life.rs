//! What is committed with an input offset: where the outputs stand there. A restore must meet it.

use exchange::Offset;

/// The numbers of a partition's outputs at a committed offset. The text is `epoch,next,began`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The epoch of its own numbers; rises with every start afresh by policy.
    pub epoch: u32,
    /// The number of the next output item.
    pub next: u64,
    /// The input offset at which the epoch began with a state that knew nothing.
    pub began: Offset,
}

impl Life {
    /// A first one.
    pub fn first(began: Offset) -> Self {
        Self { epoch: 1, next: 1, began }
    }

    /// As the metadata of an offset.
    pub fn encode(&self) -> String {
        format!("{},{},{}", self.epoch, self.next, self.began)
    }

    /// Reads what [`Life::encode`] wrote; `None` if it is anything else.
    pub fn decode(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let life = Self {
            epoch: parts.next()?.parse().ok()?,
            next: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_nothing_else_is() {
        let life = Life { epoch: 3, next: u64::MAX, began: 17 };
        assert_eq!(Life::decode(&life.encode()), Some(life));
        for text in ["", "1,2", "1,2,3,4", "a,2,3", "-1,2,3", "1,2,3|d1"] {
            assert_eq!(Life::decode(text), None, "{text:?}");
        }
    }
}
