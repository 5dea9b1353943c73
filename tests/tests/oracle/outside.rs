//! Changes of refusals and of what is seen from outside; and those of alerts.

use bytes::Bytes;
use domain::{AlertState, Definition, Id, Skip};
use oddwatch_tests::oracle::{Evidence, Refused, Told};
use rand_pcg::Pcg64Mcg;

use crate::{
    histories::SECRET,
    tools::{Mutation, below, one},
};

/// All of them but those of alerts.
pub(crate) const MUTATIONS: &[Mutation] = &[
    // Refusals.
    Mutation { name: "refused for another reason", breaks: &[1], make: reason },
    Mutation { name: "refused as poison", breaks: &[1], make: poison },
    Mutation { name: "refused by another service", breaks: &[1], make: service },
    Mutation { name: "another record was refused", breaks: &[1], make: refused_record },
    Mutation { name: "an item is skipped that nobody planned", breaks: &[1], make: skip },
    // Outside.
    Mutation { name: "a delivery is lost", breaks: &[5], make: lost },
    Mutation { name: "a delivery is repeated", breaks: &[5], make: repeated },
    Mutation { name: "another payload", breaks: &[5], make: payload },
    Mutation { name: "a delivery of no alert", breaks: &[5], make: unknown },
    Mutation { name: "a reader that lags", breaks: &[6], make: lag },
    Mutation { name: "memory that grew", breaks: &[6], make: memory },
    Mutation { name: "a secret in a log", breaks: &[7], make: secret },
    Mutation { name: "a secret in a dead letter", breaks: &[7], make: secret_refused },
];

pub(crate) fn alert_id(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (place, state) = one(&mut evidence.committed.alerts, random)?;
    state.alert.id = Id::of(&[b"another"]);
    Some(place)
}

pub(crate) fn alert_state(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (place, state) = one(&mut evidence.committed.alerts, random)?;
    state.alert.state = match state.alert.state {
        AlertState::Firing => AlertState::Resolved,
        AlertState::Resolved => AlertState::Firing,
    };
    Some(place)
}

pub(crate) fn alert_revision(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (place, state) = one(&mut evidence.committed.alerts, random)?;
    state.alert.revision += 1;
    Some(place)
}

pub(crate) fn state_id(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (place, state) = one(&mut evidence.committed.alerts, random)?;
    state.id.push('0');
    Some(place)
}

/// A refusal, to be changed.
fn refused(
    evidence: &mut Evidence,
    random: &mut Pcg64Mcg,
    change: impl Fn(&mut Refused),
) -> Option<String> {
    let (place, refused) = one(&mut evidence.committed.rejected, random)?;
    let place = format!("{place} {refused:?}");
    change(refused);
    Some(place)
}

pub(crate) fn reason(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (_, found) = one(&mut evidence.committed.rejected, &mut random.clone())?;
    (found.service == "ingest").then_some(())?;
    refused(evidence, random, |refused| refused.reason = "TOO_LARGE")
}

pub(crate) fn poison(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    // Those that are change nothing.
    let (_, found) = one(&mut evidence.committed.rejected, &mut random.clone())?;
    (found.reason != "POISON").then_some(())?;
    refused(evidence, random, |refused| refused.reason = "POISON")
}

pub(crate) fn service(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    refused(evidence, random, |refused| {
        let service = if refused.service == "detector" { "windowing" } else { "detector" };
        refused.service = service.into();
    })
}

pub(crate) fn refused_record(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    refused(evidence, random, |refused| refused.offset += 1_000_000)
}

pub(crate) fn skip(evidence: &mut Evidence, _: &mut Pcg64Mcg) -> Option<String> {
    let skip = Skip {
        service: "windowing".into(),
        partition: "records.accepted/0".into(),
        offset: 1_000_000,
        item: 0,
        why: "nobody knows".into(),
    };
    let (content, bytes) = (Definition::Skip(skip), Bytes::new());
    let version = evidence.committed.control.last()?.0 + 1;
    evidence.committed.control.push((version, Told { offset: version - 1, bytes, content }));
    Some("the end".into())
}

/// Number of a receiver that got something, and of a delivery.
fn delivery(evidence: &Evidence, random: &mut Pcg64Mcg) -> Option<(usize, usize)> {
    let receiver = below(evidence.receivers.len(), random)?;
    Some((receiver, below(evidence.receivers[receiver].got.len(), random)?))
}

pub(crate) fn lost(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (receiver, at) = delivery(evidence, random)?;
    let got = &mut evidence.receivers[receiver].got;
    let id = got[at].0.clone();
    got.retain(|(found, _)| *found != id);
    Some(id)
}

pub(crate) fn repeated(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (_, at) = delivery(evidence, random)?;
    let receiver = evidence.receivers.iter_mut().find(|receiver| receiver.honours_ids)?;
    let again = receiver.got.get(at)?.clone();
    receiver.got.push(again);
    Some(at.to_string())
}

pub(crate) fn payload(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let (receiver, at) = delivery(evidence, random)?;
    let payload = &mut evidence.receivers[receiver].got[at].1;
    let byte = below(payload.len(), random)?;
    payload[byte] ^= 1;
    Some(format!("{receiver}/{at}/{byte}"))
}

pub(crate) fn unknown(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let receiver = below(evidence.receivers.len(), random)?;
    evidence.receivers[receiver].got.push(("another".into(), vec![]));
    Some(receiver.to_string())
}

pub(crate) fn lag(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let lags = &mut evidence.end.as_mut()?.lags;
    let at = below(lags.len(), random)?;
    lags[at].position -= 1;
    Some(at.to_string())
}

pub(crate) fn memory(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let end = evidence.end.as_mut()?;
    end.bytes_after = end.bytes_before / 100 * 111 + below(1_000, random)? as u64;
    Some(end.bytes_after.to_string())
}

pub(crate) fn secret(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    let at = below(evidence.texts.len(), random)?;
    evidence.texts[at].text.push_str(SECRET);
    Some(at.to_string())
}

pub(crate) fn secret_refused(evidence: &mut Evidence, random: &mut Pcg64Mcg) -> Option<String> {
    refused(evidence, random, |refused| refused.detail.push_str(SECRET))
}
