# Read by the suite's own helper, in the copy of it below `target`, after all that it defines.
#
# The suite takes it that a server that it did not start itself is still the server it was written
# for. A setting that a group of tests wants before the first of them may be refused here: the unit goes
# on, and its tests say by themselves what came of it.
rename r larder_r
proc r {args} {
    set failed [catch {larder_r {*}$args} reply options]
    if {$failed && $::cur_test eq "" && [string equal -nocase [lindex $args 0] config]} {
        return OK
    }
    return -options $options $reply
}

# A test that ends in an error leaves none of its tags behind for the tests that follow.
rename tags larder_tags
proc tags {tags code} {
    set before $::tags
    set failed [catch {uplevel 1 [list larder_tags $tags $code]} result options]
    set ::tags $before
    if {$failed} {
        return -options $options $result
    }
    return $result
}

# Says which test has begun, so that one that never ends is known by its name. What a test that
# fails has left half done (a transaction, a script, a pause) does not fail those that follow.
rename test larder_test
proc test {name args} {
    puts "\[testing\]: [string map {\n { }} $name]"
    flush stdout
    set failed_before $::num_failed
    catch {uplevel 1 [list larder_test $name {*}$args]} result options
    if {$::num_failed > $failed_before && [llength $::servers] > 0} {
        catch {reconnect}
        foreach command {{script kill} {function kill} {client unpause} {debug set-active-expire 1}} {
            catch {r {*}$command}
        }
    }
    return -options $options $result
}

# Who ends all subscriptions of a client is not told how many answers come, and reads none: the suite counts
# on a server that has seen to one connection before it looks at another.
foreach command {unsubscribe punsubscribe sunsubscribe} {
    rename $command larder_$command
    proc $command {client {channels {}}} [string map [list COMMAND larder_$command] {
        set counts [COMMAND $client $channels]
        if {[llength $channels] == 0} {
            $client ping
            while {![string equal -nocase [lindex [$client read] 0] pong]} {}
        }
        return $counts
    }]
}

# What the suite keeps for servers that it has started itself, if that is asked for too.
if {[info exists ::env(LARDER_SUITE_ALL)]} {
    rename tags_acceptable larder_tags_acceptable
    proc tags_acceptable {tags err_return} {
        upvar $err_return err
        set tags [lsearch -all -inline -not -exact $tags external:skip]
        return [larder_tags_acceptable $tags err]
    }
}
