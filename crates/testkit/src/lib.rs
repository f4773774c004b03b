//! Real servers, movable clocks and transcripts for the tests of Larder.
