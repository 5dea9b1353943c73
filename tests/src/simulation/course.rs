//! The course of a simulation: what is done in which turn, what is damaged and changed, and the end, when all has
//! healed.

use domain::{Definition, Definitions, Micros};
use futures::{StreamExt as _, executor::block_on};
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload, path::Path};

use super::{
    dice::Dice,
    input::{Draft, drafts},
    plan::{self, Actions, Plan, SERVICES},
    world::World,
};
use crate::local::Failed;

/// How far the clock goes on between two turns, at most.
const TURN_US_MAX: usize = 4_000;
/// How far it jumps, at most, but for some jumps of hours.
const JUMP_US_MAX: usize = 2_000_000;
const HOUR_US: Micros = 3_600_000_000;
/// For so many turns a member may make no step.
const STALL_TURNS_MAX: usize = 400;
/// No member is asked for more turns than these for each message.
const TURNS_PER_MESSAGE_MAX: usize = 200;

/// Runs a world from the first message to its end.
pub(crate) fn run(plan: &Plan, world: &mut World<'_>) -> Result<(), Failed> {
    let dice = &mut Dice::new(plan.seed, 3);
    for service in SERVICES {
        world.join(service)?;
    }
    let drafts = drafts(plan);
    let mut next = drafts.iter();
    let mut draft = next.next();
    for _ in 0..TURNS_PER_MESSAGE_MAX * drafts.len() {
        let Some(message) = draft else { break };
        world.jump(dice.below(TURN_US_MAX) as Micros);
        world.turns += 1;
        if turn(plan, world, message, dice)? {
            draft = next.next();
        }
    }
    end(world, draft.into_iter().chain(next))
}

/// One turn; says whether the message was published.
fn turn(
    plan: &Plan,
    world: &mut World<'_>,
    draft: &Draft,
    dice: &mut Dice,
) -> Result<bool, Failed> {
    let Actions { publish, kill, rebalance, damage, jump, redefine, stall } = plan.actions;
    let mut draw = dice.below(1_000) as u32;
    let mut is = |share: u32| {
        let it = draw < share;
        draw = if it { u32::MAX } else { draw - share };
        it
    };
    if is(publish) {
        return world.publish(draft);
    } else if is(kill) {
        if dice.happens(150) { kill_all(world)? } else { kill_one(world, dice)? }
    } else if is(rebalance) {
        rebalance_one(plan, world, dice)?;
    } else if is(damage) {
        damage_one(world, dice)?;
    } else if is(jump) {
        jump_once(world, dice);
    } else if is(redefine) {
        redefine_one(plan, world, dice)?;
    } else if is(stall) {
        stall_one(world, dice);
    } else if !world.members.is_empty() {
        let at = dice.below(world.members.len());
        if world.members[at].stalled_until <= world.turns {
            world.step(at)?;
        }
    }
    if dice.happens(100) {
        for service in SERVICES {
            if world.count(service) == 0 {
                world.join(service)?;
            }
        }
    }
    Ok(false)
}

/// A member makes no step for a while; its partitions wait.
fn stall_one(world: &mut World<'_>, dice: &mut Dice) {
    let until = world.turns + dice.between(50, STALL_TURNS_MAX) as u64;
    if !world.members.is_empty() {
        let at = dice.below(world.members.len());
        world.members[at].stalled_until = until;
        world.luck.count("a member stalled");
    }
}

/// The machine dies, and all members with it; they are started again, sooner or later.
fn kill_all(world: &mut World<'_>) -> Result<(), Failed> {
    const WHAT: &str = "all killed at once";
    if SERVICES.iter().all(|service| world.luck.may_die(service)) {
        for service in SERVICES {
            world.luck.may_be_killed(service, WHAT);
        }
        world.crash()?;
    }
    Ok(())
}

/// A member is killed; or one of its name takes over while it is at work, which it must notice.
fn kill_one(world: &mut World<'_>, dice: &mut Dice) -> Result<(), Failed> {
    if world.members.is_empty() {
        return Ok(());
    }
    let at = dice.below(world.members.len());
    let (service, name) = (world.members[at].service, world.members[at].name.clone());
    if dice.happens(300) {
        if !world.luck.may_be_killed(service, "taken over by another of its name") {
            return Ok(());
        }
        let mut zombie = world.remove(at);
        world.join_as(service, name)?;
        return match zombie.step() {
            Err(super::member::Ended::Fenced) => Ok(()),
            other => Err(format!("a zombie of {service} goes on: {other:?}").into()),
        };
    }
    if world.luck.may_be_killed(service, "killed from outside") {
        world.remove(at);
        if dice.happens(500) {
            world.join_as(service, name)?;
        }
    }
    Ok(())
}

fn rebalance_one(plan: &Plan, world: &mut World<'_>, dice: &mut Dice) -> Result<(), Failed> {
    let service = *dice.pick(&SERVICES);
    let most = plan.members_max.get(service).copied().unwrap_or(1);
    if world.count(service) < most {
        world.luck.count("a further member joined");
        world.join(service)?;
    } else if world.count(service) > 1 && world.luck.may_be_killed(service, "a member left") {
        let of = world.members.iter().position(|member| member.service == service);
        of.map(|at| world.remove(at));
    }
    Ok(())
}

/// A snapshot is flipped, cut off, or gone.
fn damage_one(world: &World<'_>, dice: &mut Dice) -> Result<(), Failed> {
    let objects = &world.objects;
    let mut paths: Vec<Path> =
        block_on(objects.list(None).filter_map(async |meta| Some(meta.ok()?.location)).collect());
    paths.sort();
    if paths.is_empty() {
        return Ok(());
    }
    let path = dice.pick(&paths);
    let mut bytes = block_on(async { objects.get(path).await?.bytes().await })?.to_vec();
    match dice.below(3) {
        0 => {
            world.luck.count("snapshot deleted");
            block_on(objects.delete(path))?;
            return Ok(());
        }
        1 => {
            world.luck.count("snapshot cut off");
            bytes.truncate(dice.below(bytes.len()));
        }
        _ => {
            world.luck.count("snapshot flipped");
            let at = dice.below(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
    block_on(objects.put(path, PutPayload::from(bytes)))?;
    Ok(())
}

fn jump_once(world: &World<'_>, dice: &mut Dice) {
    let by = dice.below(JUMP_US_MAX) as Micros;
    match dice.below(4) {
        0 => {
            world.luck.count("clock set back");
            world.jump(-by);
        }
        1 => {
            world.luck.count("clock set on by hours");
            world.jump(HOUR_US + by);
        }
        _ => {
            world.luck.count("clock set on");
            world.jump(by);
        }
    }
}

/// A stream or detector is changed, added or removed; what is published stays as it is.
fn redefine_one(plan: &Plan, world: &mut World<'_>, dice: &mut Dice) -> Result<(), Failed> {
    let control = world.local.control()?;
    let definitions: Definitions = control.latest().clone();
    let streams: Vec<_> = definitions.streams_in_force();
    let of = dice.pick(&streams);
    let definition = match dice.below(4) {
        0 => Definition::Stream(plan::stream(&of.name, dice)),
        1 => {
            let names: Vec<&String> = definitions.detectors.keys().collect();
            match names.is_empty() {
                true => return Ok(()),
                false => Definition::Removed(format!("detector/{}", dice.pick(&names))),
            }
        }
        _ => {
            let name = format!("{}-{}", of.name, dice.below(3));
            Definition::Detector(plan::detector(&name, of, dice))
        }
    };
    let mut changed = definitions;
    changed.apply(0, definition.clone());
    // As whoever takes definitions would.
    if changed.check().is_err() || plan.seed == u64::MAX {
        return Ok(());
    }
    world.luck.count("definition changed");
    world.define(&definition)
}

/// Nothing bad happens any more: the rest is published, everything is worked off, all that waits is released.
fn end<'a>(world: &mut World<'_>, rest: impl Iterator<Item = &'a Draft>) -> Result<(), Failed> {
    world.luck.heal();
    for draft in rest {
        for _ in 0..2 {
            if world.publish(draft)? {
                break;
            }
            world.rest()?;
        }
    }
    world.rest()?;
    world.jump(HOUR_US);
    world.rest()?;
    world.members.iter().for_each(super::member::Member::finish);
    world.rest()
}
