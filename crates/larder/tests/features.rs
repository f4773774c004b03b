//! What holds for every selection of features, and for those that leave something out.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

#[test]
#[cfg(not(feature = "remote"))]
fn a_url_of_a_kind_that_was_left_out_is_refused_with_the_name_of_the_feature() {
    let error = larder::open("redis://localhost").unwrap_err().to_string();
    assert!(error.contains("feature `remote`"), "{error}");
    let error = larder::open("mysql://localhost").unwrap_err().to_string();
    assert!(error.contains("use memory:"), "{error}");
}

#[test]
#[cfg(not(feature = "memory"))]
fn a_memory_store_that_was_left_out_is_refused_with_the_name_of_the_feature() {
    let error = larder::open("memory:").unwrap_err().to_string();
    assert!(error.contains("feature `memory`"), "{error}");
}

#[tokio::test]
#[cfg(all(feature = "memory", not(feature = "lua")))]
async fn a_script_is_refused_with_the_name_of_the_feature_where_there_is_no_lua() {
    let store = larder::open("memory:").unwrap();
    for words in [
        &["EVAL", "return 1", "0"][..],
        &["EVALSHA", "0", "0"],
        &["SCRIPT", "LOAD", "x"],
    ] {
        let command = larder::Command::new(words[0]).args(&words[1..]);
        let error = store.call(command).await.unwrap_err();
        assert!(
            error.is_refused() && error.to_string().contains("feature `lua`"),
            "{error}"
        );
    }
}
