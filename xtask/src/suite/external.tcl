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

# The suite counts on a server of one thread, which reads what one client has sent before what another sends
# after it: it does not wait until a client waits for a key, or has ended its subscriptions. Where several
# threads read, a moment is enough.
foreach library {redis valkey} {
    if {[info commands ::${library}::__dispatch__] eq ""} continue
    rename ::${library}::__dispatch__ ::${library}::larder_dispatch
    proc ::${library}::__dispatch__ {id method args} [string map [list LIBRARY $library] {
        set failed [catch {::LIBRARY::larder_dispatch $id $method {*}$args} result options]
        if {[regexp -nocase {^(b[lrz]|xread|[ps]?unsubscribe)} $method] && !$failed && $::LIBRARY::deferred($id)} {
            after 10
        }
        return -options $options $result
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
