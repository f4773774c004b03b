//! What whoever has the store can see and do.

use std::collections::HashMap;

use bytes::Bytes;
use larder_store::{Command, Error};
use larder_testkit::{TestStore, every_store};

use super::{SECOND, sessions};
use crate::session::{Secret, Session, Vault};

fn secret(byte: u8) -> Secret {
    Secret::new([byte; 32]).expect("it is long enough")
}

/// The hash that a session is in.
fn key_of(session: &Session<String>) -> String {
    let tag = session.token().split('.').next().expect("it has a tag");
    format!("{{test:session:{tag}}}")
}

async fn hash(test: &TestStore, key: &str) -> Result<HashMap<String, Bytes>, Error> {
    test.store
        .run(Command::new("HGETALL").arg(key.to_owned()))
        .await
}

every_store! {
    async fn the_store_sees_neither_a_token_nor_a_name_nor_data(test: TestStore) {
        let sessions = sessions(&test).secret(secret(1));
        let mut session = sessions.create("ann.smith", "the cart".into()).await?;
        let first = session.token().to_owned();
        sessions.save(&mut session).await?;
        let session = sessions.rotate(&first).await?.ok_or("no session")?;
        let visit = sessions.create_anonymous("the cart".into()).await?;
        let login = sessions.log_in(visit.token(), "ann.smith").await?;

        let mut seen = Vec::new();
        for key in test.keys("*").await? {
            let kind: String = test.store.run(Command::new("TYPE").arg(&key)).await?;
            let read = match kind.as_str() {
                "hash" => Command::new("HGETALL").arg(&key),
                "string" => Command::new("MGET").arg(&key),
                _ => Command::new("ZRANGE").arg(&key).arg(0).arg(-1),
            };
            let held: Vec<Bytes> = test.store.run(read).await?;
            assert!(!held.is_empty(), "{kind}");
            seen.push(Bytes::from(key));
            seen.extend(held);
        }
        assert!(seen.len() > 10);
        let tokens = [&first, session.token(), visit.token(), login.token()];
        for bytes in &seen {
            let text = String::from_utf8_lossy(bytes);
            for token in tokens {
                assert!(!text.contains(token.split('.').nth(1).ok_or("no secret")?), "{text}");
            }
            assert!(!text.contains("ann.smith") && !text.contains("the cart"), "{text}");
        }
        assert!(!format!("{session:?}").contains(session.token()));
    }

    async fn data_that_was_changed_in_the_store_is_an_error_and_stays(test: TestStore) {
        let sessions = sessions(&test);
        let ours = sessions.create("ann", "ours".into()).await?;
        let theirs = sessions.create("ann", "theirs".into()).await?;
        let key = key_of(&ours);
        let held = hash(&test, &key).await?;
        let exchange = Command::new("HSET").arg(&key)
            .arg(ours.id()).arg(&held[theirs.id()])
            .arg(theirs.id()).arg(&held[ours.id()]);
        test.store.run::<u64>(exchange).await?;

        for token in [ours.token(), theirs.token()] {
            assert!(matches!(sessions.load(token).await, Err(Error::Codec(_))));
            assert!(matches!(sessions.rotate(token).await, Err(Error::Codec(_))));
        }
        assert_eq!(sessions.destroy_all("ann").await?, 2);
    }

    /// A cart from before it was paid, or a role from before it was taken away.
    async fn older_data_that_is_put_back_is_noticed(test: TestStore) {
        let sessions = sessions(&test);
        let session = sessions.create("ann", "admin".into()).await?;
        let key = key_of(&session);
        let before = hash(&test, &key).await?;
        sessions.update(session.token(), |role| *role = "nobody".into()).await?;

        let put_back = Command::new("HSET").arg(&key).arg(session.id()).arg(&before[session.id()]);
        test.store.run::<u64>(put_back).await?;
        assert!(matches!(sessions.load(session.token()).await, Err(Error::Codec(_))));
    }

    /// Without a secret, whose keys they are can be found out by guessing.
    async fn with_a_secret_nobody_else_can_tell_whose_sessions_they_are(test: TestStore) {
        let [plain, ours, others] = [
            sessions(&test),
            sessions(&test).secret(secret(1)),
            sessions(&test).secret(secret(2)),
        ];
        let tags: std::collections::HashSet<_> = [
            key_of(&plain.create("ann", String::new()).await?),
            key_of(&ours.create("ann", String::new()).await?),
            key_of(&others.create("ann", String::new()).await?),
        ].into();
        assert_eq!(tags.len(), 3);
        assert_eq!(ours.count("ann").await?, 1);
    }

    /// One that could not be ended with all others of its user must not be one.
    async fn a_token_of_another_secret_is_none(test: TestStore) {
        let ours = sessions(&test).secret(secret(1));
        for others in [sessions(&test), sessions(&test).secret(secret(2))] {
            let theirs = others.create("ann", String::new()).await?;
            assert!(ours.load(theirs.token()).await?.is_none());
            assert!(!ours.destroy(theirs.token()).await?);
            assert_eq!(ours.log_in(theirs.token(), "ann").await, Err(Error::Gone));
            assert!(others.load(theirs.token()).await?.is_some());
        }
    }

    /// A word that was moved in the store must not lead from a token to a session of somebody else.
    async fn a_word_leads_only_who_has_the_token_that_it_was_left_for(test: TestStore) {
        let sessions = sessions(&test);
        let anns = sessions.create("ann", "hers".into()).await?;
        let moved = sessions.rotate(anns.token()).await?.ok_or("no session")?;
        let other = sessions.create("ann", "another".into()).await?;
        sessions.destroy(other.token()).await?;

        let word_at = |id: &str| format!("{}:went:{id}", key_of(&moved));
        let word = test.store.get(word_at(anns.id())).await?.ok_or("no word")?;
        test.store.set(word_at(other.id()), word).await?;
        assert!(sessions.load(anns.token()).await?.is_some());
        assert!(sessions.load(other.token()).await?.is_none());
    }
}

#[test]
fn a_secret_is_long_and_not_shown() {
    assert!(Secret::new([7; 31]).is_err());
    let error = "letmein"
        .parse::<Secret>()
        .expect_err("it is short")
        .to_string();
    assert!(error.contains("32 bytes or more, not 7"), "{error}");
    let text = "0123456789abcdef0123456789abcdef";
    let deserializer = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    let secret =
        <Secret as serde::Deserialize>::deserialize(deserializer).expect("it is long enough");
    assert!(!format!("{secret:?}").contains("0123"));
}

every_store! {
    async fn a_vault_keeps_values_for_who_knows_their_names(test: TestStore) {
        let vault = Vault::new(&test.store, "test", "reset").secret(secret(1));
        let (name, lasts) = ("Hq3vXo81mDk2tYbN", SECOND);
        assert!(!vault.replace(name, &"ann", lasts).await?);
        assert!(vault.create(name, &"ann", lasts).await?);
        assert!(!vault.create(name, &"bob", lasts).await?);
        assert!(vault.replace(name, &"anna", lasts).await?);
        assert_eq!(vault.get::<String>(name).await?.as_deref(), Some("anna"));
        let others = Vault::new(&test.store, "test", "reset").secret(secret(2));
        assert_eq!(others.get::<String>(name).await?, None);

        let key = test.keys("*").await?.remove(0);
        let held = test.store.get(&key).await?.ok_or("no value")?;
        assert!(!key.contains(name) && !String::from_utf8_lossy(&held).contains("anna"));
        test.store.set(&key, "forged").await?;
        assert!(matches!(vault.get::<String>(name).await, Err(Error::Codec(_))));
        assert!(vault.remove(name).await?);

        vault.create(name, &"ann", lasts).await?;
        test.pass(lasts).await;
        assert_eq!(vault.get::<String>(name).await?, None);
    }
}
