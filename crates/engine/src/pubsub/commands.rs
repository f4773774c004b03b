//! Commands on messages.

use bytes::Bytes;

use super::{Topic, glob};
use crate::admin::help;
use crate::command::{Arity, Call, Flags, KeySpec, Row};
use crate::error::{Error, Result};

const LISTEN: Flags = Flags::PUBSUB.and(Flags::NO_SCRIPT).and(Flags::SUBSCRIBED);

pub(crate) const COMMANDS: &[Row] = &[
    Row {
        name: "SUBSCRIBE",
        run: subscribe,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: LISTEN,
        syntax: "channel [channel ...]",
        summary: "Listens to channels.",
        complexity: "O(n), n the number of channels.",
        since: "2.0.0",
    },
    Row {
        name: "UNSUBSCRIBE",
        run: unsubscribe,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: LISTEN,
        syntax: "[channel [channel ...]]",
        summary: "Stops listening to channels, or to all.",
        complexity: "O(n), n the number of channels.",
        since: "2.0.0",
    },
    Row {
        name: "PSUBSCRIBE",
        run: psubscribe,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: LISTEN,
        syntax: "pattern [pattern ...]",
        summary: "Listens to the channels that match patterns.",
        complexity: "O(n), n the number of patterns.",
        since: "2.0.0",
    },
    Row {
        name: "PUNSUBSCRIBE",
        run: punsubscribe,
        arity: Arity::AtLeast(1),
        keys: KeySpec::None,
        flags: LISTEN,
        syntax: "[pattern [pattern ...]]",
        summary: "Stops listening to patterns, or to all.",
        complexity: "O(n), n the number of patterns.",
        since: "2.0.0",
    },
    Row {
        name: "PUBLISH",
        run: publish,
        arity: Arity::Exactly(3),
        keys: KeySpec::None,
        flags: Flags::PUBSUB.and(Flags::FAST).and(Flags::MAY_REPLICATE),
        syntax: "channel message",
        summary: "Gives a message to all who listen to a channel, and answers how many they are.",
        complexity: "O(n+m), n the number of listeners, m the number of patterns.",
        since: "2.0.0",
    },
    Row {
        name: "SSUBSCRIBE",
        run: ssubscribe,
        arity: Arity::AtLeast(2),
        keys: KeySpec::All,
        flags: LISTEN,
        syntax: "shardchannel [shardchannel ...]",
        summary: "Listens to channels of shards.",
        complexity: "O(n), n the number of channels.",
        since: "7.0.0",
    },
    Row {
        name: "SUNSUBSCRIBE",
        run: sunsubscribe,
        arity: Arity::AtLeast(1),
        keys: KeySpec::All,
        flags: LISTEN,
        syntax: "[shardchannel [shardchannel ...]]",
        summary: "Stops listening to channels of shards, or to all.",
        complexity: "O(n), n the number of channels.",
        since: "7.0.0",
    },
    Row {
        name: "SPUBLISH",
        run: spublish,
        arity: Arity::Exactly(3),
        keys: KeySpec::First,
        flags: Flags::PUBSUB.and(Flags::FAST).and(Flags::MAY_REPLICATE),
        syntax: "shardchannel message",
        summary: "Gives a message to all who listen to a channel of a shard, and answers how many \
                  they are.",
        complexity: "O(n), n the number of listeners.",
        since: "7.0.0",
    },
    Row {
        name: "PUBSUB CHANNELS",
        run: channels,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: Flags::PUBSUB,
        syntax: "[pattern]",
        summary: "Lists the channels to which somebody listens.",
        complexity: "O(n), n the number of channels.",
        since: "2.8.0",
    },
    Row {
        name: "PUBSUB NUMSUB",
        run: numsub,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: Flags::PUBSUB,
        syntax: "[channel [channel ...]]",
        summary: "Counts those who listen to each channel by name.",
        complexity: "O(n), n the number of channels.",
        since: "2.8.0",
    },
    Row {
        name: "PUBSUB NUMPAT",
        run: numpat,
        arity: Arity::Exactly(2),
        keys: KeySpec::None,
        flags: Flags::PUBSUB,
        syntax: "",
        summary: "Counts the patterns to which somebody listens.",
        complexity: "O(1)",
        since: "2.8.0",
    },
    Row {
        name: "PUBSUB SHARDCHANNELS",
        run: shard_channels,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: Flags::PUBSUB,
        syntax: "[pattern]",
        summary: "Lists the channels of shards to which somebody listens.",
        complexity: "O(n), n the number of channels.",
        since: "7.0.0",
    },
    Row {
        name: "PUBSUB SHARDNUMSUB",
        run: shard_numsub,
        arity: Arity::AtLeast(2),
        keys: KeySpec::None,
        flags: Flags::PUBSUB,
        syntax: "[shardchannel [shardchannel ...]]",
        summary: "Counts those who listen to each channel of a shard.",
        complexity: "O(n), n the number of channels.",
        since: "7.0.0",
    },
    help::row("PUBSUB HELP", "6.2.0"),
];

fn subscribe(call: &mut Call<'_, '_>) -> Result<()> {
    listen(call, Topic::Channel, "subscribe")
}

fn psubscribe(call: &mut Call<'_, '_>) -> Result<()> {
    listen(call, Topic::Pattern, "psubscribe")
}

fn unsubscribe(call: &mut Call<'_, '_>) -> Result<()> {
    stop(call, Topic::Channel, "unsubscribe")
}

fn punsubscribe(call: &mut Call<'_, '_>) -> Result<()> {
    stop(call, Topic::Pattern, "punsubscribe")
}

fn ssubscribe(call: &mut Call<'_, '_>) -> Result<()> {
    // Whoever runs a transaction expects one answer to each request. SUBSCRIBE is older than this rule.
    if !call.may_wait() {
        return Err(Error::text(
            "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client",
        ));
    }
    listen(call, Topic::ShardChannel, "ssubscribe")
}

fn sunsubscribe(call: &mut Call<'_, '_>) -> Result<()> {
    stop(call, Topic::ShardChannel, "sunsubscribe")
}

fn listen(call: &mut Call<'_, '_>, topic: Topic, kind: &str) -> Result<()> {
    for name in call.args.rest() {
        let subscriber = call
            .session
            .subscriber(call.engine)
            .ok_or(Error::NoMailbox)?;
        subscriber.add(topic, name);
        confirm(call, topic, kind, Some(name));
    }
    // Its user may have lost the right to while this was looked at, and whoever took it did not see this
    // subscription yet.
    let is_allowed = |name| call.session.may_listen(name, topic == Topic::Pattern);
    let names = call.request().iter().skip(1);
    if !{ names }.all(is_allowed) {
        call.session.close();
    }
    Ok(())
}

fn stop(call: &mut Call<'_, '_>, topic: Topic, kind: &str) -> Result<()> {
    let mut names: Vec<Bytes> = call.args.rest().map(Bytes::copy_from_slice).collect();
    let subscriber = call
        .session
        .subscriber(call.engine)
        .ok_or(Error::NoMailbox)?;
    if names.is_empty() {
        names = subscriber.names(topic).iter().cloned().collect();
    }
    if names.is_empty() {
        confirm(call, topic, kind, None);
    }
    for name in names {
        if let Some(subscriber) = call.session.subscriber(call.engine) {
            subscriber.remove(topic, &name);
        }
        confirm(call, topic, kind, Some(&name));
    }
    Ok(())
}

/// Says what is listened to now, and how much there is in all. Each name has an answer of its own.
fn confirm(call: &mut Call<'_, '_>, topic: Topic, kind: &str, name: Option<&[u8]>) {
    let subscriber = call.session.subscribed();
    let count = subscriber.map_or(0, |subscriber| subscriber.counted_with(topic));
    call.reply.push(3);
    call.reply.bulk(kind.as_bytes());
    call.reply.bulk_or_null(name);
    call.reply.int(count as i64);
}

fn publish(call: &mut Call<'_, '_>) -> Result<()> {
    let (channel, message) = (call.args.bytes()?, call.args.bytes()?);
    let pubsub = &call.engine.pubsub;
    let receivers = match &mut call.session.gathering {
        Some(gathering) => gathering.publish(pubsub, channel, message),
        None => pubsub.publish(channel, message),
    };
    call.reply.int(receivers as i64);
    Ok(())
}

fn spublish(call: &mut Call<'_, '_>) -> Result<()> {
    let (channel, message) = (call.args.bytes()?, call.args.bytes()?);
    let receivers = call.engine.pubsub.publish_sharded(channel, message);
    call.reply.int(receivers as i64);
    Ok(())
}

fn channels(call: &mut Call<'_, '_>) -> Result<()> {
    list(call, Topic::Channel)
}

fn shard_channels(call: &mut Call<'_, '_>) -> Result<()> {
    list(call, Topic::ShardChannel)
}

fn list(call: &mut Call<'_, '_>, topic: Topic) -> Result<()> {
    let pattern = call.args.next();
    if !call.args.is_empty() {
        return Err(call.args.subcommand_syntax());
    }
    let mut channels = call.engine.pubsub.names(topic);
    channels.retain(|channel| pattern.is_none_or(|pattern| glob::matches(pattern, channel)));
    call.reply.array(channels.len());
    channels.iter().for_each(|channel| call.reply.bulk(channel));
    Ok(())
}

fn numsub(call: &mut Call<'_, '_>) -> Result<()> {
    count(call, Topic::Channel)
}

fn shard_numsub(call: &mut Call<'_, '_>) -> Result<()> {
    count(call, Topic::ShardChannel)
}

fn count(call: &mut Call<'_, '_>, topic: Topic) -> Result<()> {
    let channels = call.args.rest();
    call.reply.array(channels.len() * 2);
    for channel in channels {
        call.reply.bulk(channel);
        let listeners = call.engine.pubsub.listeners_of(topic, channel);
        call.reply.int(listeners as i64);
    }
    Ok(())
}

fn numpat(call: &mut Call<'_, '_>) -> Result<()> {
    call.reply
        .int(call.engine.pubsub.len(Topic::Pattern) as i64);
    Ok(())
}
