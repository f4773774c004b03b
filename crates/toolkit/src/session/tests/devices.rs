//! Where sessions are used, as their users see it.

use bytes::Bytes;
use larder_store::{Command, Error};
use larder_testkit::{TestStore, every_store};

use super::sessions;
use crate::session::{Device, Listed, Secret, Session};

fn laptop() -> Device {
    Device::new()
        .user_agent("Firefox/140")
        .address([192, 0, 2, 7].into())
        .label("Ann's laptop")
}

fn devices(listed: Vec<Listed>) -> Vec<Option<Device>> {
    listed.into_iter().map(|listed| listed.device).collect()
}

/// What the store holds of a session, in the hash of its user.
async fn stored(test: &TestStore, session: &Session<String>) -> Result<Bytes, Error> {
    let get = Command::new("HGET").arg(hash(session)).arg(session.id());
    test.store.run(get).await
}

/// Has the store hold this of a session.
async fn store(test: &TestStore, session: &Session<String>, stored: &[u8]) -> Result<(), Error> {
    let set = Command::new("HSET").arg(hash(session)).arg(session.id());
    test.store.run(set.arg(stored)).await
}

fn hash(session: &Session<String>) -> String {
    let tag = session.token().split('.').next().unwrap_or_default();
    format!("{{test:session:{tag}}}")
}

every_store! {
    async fn the_device_of_a_session_is_listed_and_loaded(test: TestStore) {
        let sessions = sessions(&test);
        let made = sessions.clone().on_device(laptop()).create("ann", "cart".into()).await?;

        assert_eq!(devices(sessions.list("ann").await?), [Some(laptop())]);
        let loaded = sessions.load(made.token()).await?.ok_or("no session")?;
        assert_eq!((loaded.device(), &*loaded.data), (Some(&laptop()), "cart"));
        assert_eq!(loaded, made);
    }

    async fn a_device_stays_until_another_is_noted(test: TestStore) {
        let sessions = sessions(&test);
        let mut session = sessions.clone().on_device(laptop()).create("ann", "cart".into()).await?;
        sessions.save(&mut session).await?;
        let mut session = sessions.rotate(session.token()).await?.ok_or("no session")?;
        assert_eq!(session.device(), Some(&laptop()));
        assert_eq!(devices(sessions.list("ann").await?), [Some(laptop())]);
        sessions.save(&mut session).await?;
        let session = sessions.log_in(session.token(), "ann").await?;
        assert_eq!(devices(sessions.list("ann").await?), [Some(laptop())]);

        let phone = Device::new().label("Ann's phone");
        let on_phone = sessions.clone().on_device(phone.clone());
        let mut session = on_phone.rotate(session.token()).await?.ok_or("no session")?;
        assert_eq!(devices(sessions.list("ann").await?), [Some(phone)]);
        sessions.clone().on_device(laptop()).save(&mut session).await?;
        assert_eq!(session.device(), Some(&laptop()));
        assert_eq!(devices(sessions.list("ann").await?), [Some(laptop())]);
        assert_eq!(sessions.load(session.token()).await?, Some(session));
    }

    async fn only_a_login_has_a_device(test: TestStore) {
        let sessions = sessions(&test).on_device(laptop());
        let mut visit = sessions.create_anonymous("cart".into()).await?;
        sessions.save(&mut visit).await?;
        let visit = sessions.rotate(visit.token()).await?.ok_or("no session")?;
        assert_eq!(visit.device(), None);
        assert_eq!(sessions.load(visit.token()).await?, Some(visit.clone()));

        let login = sessions.log_in(visit.token(), "ann").await?;
        assert_eq!((login.device(), &*login.data), (Some(&laptop()), "cart"));
    }

    /// They were stored before there were devices.
    async fn a_session_without_a_device_is_stored_as_ever(test: TestStore) {
        let sessions = sessions(&test);
        let session = sessions.create("ann", "cart".into()).await?;
        assert_eq!(stored(&test, &session).await?.first(), Some(&3));
        assert_eq!(devices(sessions.list("ann").await?), [None]);
    }

    async fn a_device_is_none_but_where_it_was_noted(test: TestStore) {
        let sessions = sessions(&test);
        let ours = sessions.clone().on_device(laptop()).create("ann", "cart".into()).await?;
        let theirs = sessions.create("ann", "cart".into()).await?;
        let noted = stored(&test, &ours).await?;
        assert!(!String::from_utf8_lossy(&noted).contains("laptop"));

        store(&test, &theirs, &noted).await?;
        let mut listed = devices(sessions.list("ann").await?);
        listed.sort_by_key(Option::is_some);
        assert_eq!(listed, [None, Some(laptop())]);
        assert!(matches!(sessions.load(theirs.token()).await, Err(Error::Codec(_))));
    }

    async fn what_stands_in_the_place_of_a_device_costs_nobody_a_session(test: TestStore) {
        let sessions = sessions(&test);
        let session = sessions.clone().on_device(laptop()).create("ann", "cart".into()).await?;
        let mut changed = stored(&test, &session).await?.to_vec();
        changed[10] ^= 1;
        store(&test, &session, &changed).await?;

        let loaded = sessions.load(session.token()).await?.ok_or("no session")?;
        assert_eq!((loaded.device(), &*loaded.data), (None, "cart"));
        assert_eq!(devices(sessions.list("ann").await?), [None]);
    }
}

#[test]
fn a_device_is_sealed_with_the_secret_of_the_application() {
    let secret = |byte: u8| Secret::new([byte; 32]).expect("it is long enough");
    let sealed = laptop()
        .seal(&secret(1), "ann", "aa01")
        .expect("it is short");
    let open = |byte, user, digest| Device::open(&secret(byte), user, digest, &sealed);
    assert_eq!(open(1, "ann", "aa01"), Some(laptop()));
    assert_eq!(open(2, "ann", "aa01"), None);
    assert_eq!(open(1, "bob", "aa01"), None);
    assert_eq!(open(1, "ann", "aa02"), None);
}

#[test]
fn what_a_browser_calls_itself_is_cut_between_letters() {
    let device = Device::new()
        .user_agent("é".repeat(10_000))
        .label(format!("x{}", "é".repeat(300)));
    let lens = [device.user_agent, device.label].map(|text| text.map(|text| text.len()));
    assert_eq!(lens, [Some(Device::TEXT_MAX), Some(Device::TEXT_MAX - 1)]);
}
