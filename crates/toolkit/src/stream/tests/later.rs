//! What is added later, and what is added once.

use std::time::SystemTime;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// The store's clock.
async fn store_time(store: &Store) -> Result<SystemTime, Error> {
    let (seconds, micros): (u64, u64) = store.run(Command::new("TIME")).await?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// Workers of two groups, so that each value is seen twice, and what is added twice four times.
async fn two_workers(stream: &Stream<Order>) -> Result<(Worker, Worker, Told), Error> {
    let (tell, told) = mpsc::unbounded_channel();
    let worker = async |group: &str| {
        let tell = tell.clone();
        let worker = stream.group(group, Start::Earliest).worker().idle(SHORT);
        let handler = move |job: Job<Order>| {
            let _ = tell.send((job.body.number, job.deliveries));
            std::future::ready(Ok(()))
        };
        worker.start(handler).await
    };
    Ok((worker("one").await?, worker("two").await?, told))
}

/// Lets time pass until so many values were added.
async fn until_added(test: &TestStore, stream: &Stream<Order>, count: u64) -> Result<(), Error> {
    while stream.len().await? < count {
        test.pass(Duration::from_millis(5)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

every_store! {
    async fn a_value_is_added_when_its_time_has_come_and_no_sooner(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let (one, two, mut told) = two_workers(&stream).await?;

        stream.add_in(SHORT * 3, &order(3)).await?;
        let at = store_time(&test.store).await? + SHORT;
        stream.add_at(at, &order(1)).await?;
        until_added(&test, &stream, 2).await?;

        let first = told.recv().await;
        assert!(first == Some((1, 1)) || first == Some((3, 1)), "{first:?}");
        assert_eq!(numbers(stream.latest(10).await?), [3, 1]);
        let times: Vec<u64> = stream.latest(2).await?.iter().map(|entry| entry.id.ms).collect();
        let due = at.duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
        assert!(times[1] >= due, "{times:?} {due}");
        assert!(times[0] >= due + 2 * SHORT.as_millis() as u64 - 5, "{times:?} {due}");
        one.shutdown().await;
        two.shutdown().await;
    }

    async fn what_was_to_be_added_can_be_taken_back(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let delayed = stream.add_in(SHORT, &order(1)).await?;
        stream.add_in(SHORT, &order(2)).await?;

        assert!(stream.cancel(&delayed).await?);
        assert!(!stream.cancel(&delayed).await?);
        let (one, two, _told) = two_workers(&stream).await?;
        until_added(&test, &stream, 1).await?;

        assert_eq!(numbers(stream.latest(10).await?), [2]);
        one.shutdown().await;
        two.shutdown().await;
    }

    async fn a_time_that_is_past_is_now_and_one_that_never_comes_is_kept(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        stream.add_at(SystemTime::UNIX_EPOCH, &order(1)).await?;
        stream.add_in(Duration::MAX, &order(2)).await?;
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 1000);
        stream.add_at(far, &order(3)).await?;

        let (one, two, _told) = two_workers(&stream).await?;
        until_added(&test, &stream, 1).await?;
        assert_eq!((one.shutdown().await.errors, two.shutdown().await.errors), (0, 0));
        assert_eq!(numbers(stream.latest(10).await?), [1]);
    }

    async fn what_is_due_is_trimmed_as_the_rest_of_its_stream(test: TestStore) {
        let stream = orders(&test.store, Trim::MaxLen(10));
        for number in 0..300 {
            stream.add_in(Duration::ZERO, &order(number)).await?;
        }
        let promoted = [(); 4].map(|()| stream.promote());
        for done in promoted {
            done.await?;
        }
        let len = stream.len().await?;
        assert!((10..300).contains(&len), "{len}");
    }

    async fn a_schedule_is_said_by_each_instance_and_kept_once(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let daily = Cron::parse("0 3 * * *")?;

        assert!(stream.schedule("report", &daily, &order(1)).await?);
        assert!(!stream.schedule("report", &daily, &order(1)).await?);
        assert!(stream.schedule("report", &Cron::parse("@hourly")?, &order(1)).await?);
        let schedules = stream.schedules().await?;
        assert_eq!((schedules.len(), schedules[0].cron.to_string()), (1, "0 * * * *".to_owned()));

        assert!(stream.unschedule("report").await?);
        assert!(!stream.unschedule("report").await?);
        assert_eq!(stream.schedules().await?, []);
    }

    async fn what_is_still_there_is_not_added_twice(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        let Added::New(first) = stream.add_unique("a", &order(1)).await? else {
            panic!("there was nothing before");
        };

        assert_eq!(stream.add_unique("a", &order(2)).await?, Added::Before(first));
        assert!(matches!(stream.add_unique("b", &order(3)).await?, Added::New(_)));
        stream.delete(first).await?;
        assert!(matches!(stream.add_unique("a", &order(4)).await?, Added::New(_)));
        assert_eq!(numbers(stream.latest(10).await?), [4, 3]);
    }

    /// The names of what has gone would else be kept for ever.
    async fn names_of_what_has_gone_do_not_pile_up(test: TestStore) {
        let stream = orders(&test.store, Trim::Never);
        for number in 0..500 {
            let Added::New(id) = stream.add_unique(&number.to_string(), &order(number)).await? else {
                panic!("each name is new");
            };
            stream.delete(id).await?;
        }
        let names: u64 = test.store.run(Command::new("HLEN").arg(key().part(keys::UNIQUE))).await?;
        assert!(names <= 3, "{names}");
    }
}

/// Moves the clock of a memory store from tick to tick.
#[tokio::test]
async fn each_tick_adds_one_entry_however_many_workers_there_are() -> Result<(), Error> {
    let test = TestStore::memory();
    let stream = orders(&test.store, Trim::Never);
    stream
        .schedule("often", &Cron::parse("*/5 * * * *")?, &order(5))
        .await?;

    for ticks in 1..=4 {
        test.pass(MINUTE * 5).await;
        // As three workers would do it in the same moment.
        let (one, two, three) = tokio::join!(stream.promote(), stream.promote(), stream.promote());
        assert_eq!(
            (one?.added + two?.added + three?.added, stream.len().await?),
            (1, ticks)
        );
    }

    // And as two would do it that have both seen the same tick due.
    let schedules = Command::new("ZSCORE").arg(key().part(keys::SCHEDULES));
    let due: f64 = test.store.run(schedules.arg("often")).await?;
    let (due, next) = (due as u64, due as u64 + 300_000);
    assert!(stream.tick("often", due, next, "add").await?);
    assert!(!stream.tick("often", due, next, "add").await?);
    assert_eq!(stream.len().await?, 5);
    Ok(())
}

#[tokio::test]
async fn ticks_that_nobody_was_there_for_are_made_up_for_by_one_entry() -> Result<(), Error> {
    let test = TestStore::memory();
    let stream = orders(&test.store, Trim::Never);
    stream
        .schedule("often", &Cron::parse("*/5 * * * *")?, &order(5))
        .await?;

    test.pass(HOUR * 3).await;
    stream.promote().await?;
    stream.promote().await?;
    assert_eq!(stream.len().await?, 1);
    test.pass(MINUTE * 5).await;
    stream.promote().await?;
    assert_eq!(stream.len().await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_back_repeats_no_tick_and_silences_no_schedule() -> Result<(), Error> {
    let test = TestStore::memory();
    let stream = orders(&test.store, Trim::Never);
    stream
        .schedule("often", &Cron::parse("*/5 * * * *")?, &order(5))
        .await?;
    stream
        .schedule("daily", &Cron::parse("@daily")?, &order(1))
        .await?;
    test.pass(HOUR * 24).await;
    stream.promote().await?;
    assert_eq!(stream.len().await?, 2);

    // A minute: the tick that has been is not repeated.
    test.set_back(MINUTE);
    stream.mend_schedules().await?;
    test.pass(MINUTE).await;
    stream.promote().await?;
    assert!(
        stream.len().await? <= 3,
        "at most the tick of the next five minutes"
    );

    // An hour: the short schedule goes on by the new time, and the daily one is not repeated.
    let before = stream.len().await?;
    test.set_back(HOUR);
    stream.mend_schedules().await?;
    for _ in 0..6 {
        test.pass(MINUTE * 5).await;
        stream.promote().await?;
    }
    assert_eq!(stream.len().await?, before + 6);
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nobody_waiting() -> Result<(), Error> {
    let test = TestStore::memory();
    let stream = orders(&test.store, Trim::Never);
    let (one, two, mut told) = two_workers(&stream).await?;
    stream.add_in(SHORT, &order(1)).await?;

    assert!(test.set_back(HOUR));
    let waited = async {
        until_added(&test, &stream, 1).await?;
        Ok::<_, Error>(told.recv().await)
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waited).await;
    assert_eq!(waited, Ok(Ok(Some((1, 1)))));
    one.shutdown().await;
    two.shutdown().await;
    Ok(())
}
