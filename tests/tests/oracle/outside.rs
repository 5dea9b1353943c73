//! Changes of alerts, refusals and what is seen from outside.

use bytes::Bytes;
use domain::{AlertState, Definition, Id, Skip};
use oddwatch_tests::oracle::{Evidence, Refused, Told};
use rand_pcg::Pcg64Mcg;

use crate::{
    histories::SECRET,
    mutations::{below, one},
};

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
