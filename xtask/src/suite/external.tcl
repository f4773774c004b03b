# Read by the suite's own helper, in the copy of it below `target`, after all that it defines.
#
# The suite takes it that a server that it did not start itself is still the server it was written
# for. What it asks for only to prepare a server may be refused here: a unit then goes on, and its
# tests say by themselves what came of it.

proc larder_may_be_refused {words error} {
    if {[string is integer -strict [lindex $words 0]]} {
        set words [lrange $words 1 end]
    }
    lassign $words command subcommand
    switch -nocase -- $command {
        function {
            return [expr {[string tolower $subcommand] eq "flush"}]
        }
        config {
            if {[string match "*Unknown option or number of arguments for CONFIG SET*" $error]} {
                return 1
            }
            # What a group of tests wants of its server before the first of them.
            return [expr {$::cur_test eq ""}]
        }
        debug {
            # Only what changes how a server works inside. What a test is about, as RELOAD, is not here.
            set settings {
                set-active-expire set-disable-deny-scripts quicklist-packed-threshold
                dict-resizing dict-stats pause-cron replybuffer jmap log
            }
            return [expr {[string tolower $subcommand] in $settings}]
        }
    }
    return 0
}

rename r larder_r
proc r {args} {
    if {[catch {larder_r {*}$args} reply options]} {
        # Inside a test of the settings themselves it is the test that judges.
        set is_judged [expr {$::cur_test ne "" && [string match "*introspection*" $::curfile]}]
        if {!$is_judged && [larder_may_be_refused $args $reply]} {
            return OK
        }
        return -options $options $reply
    }
    return $reply
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
        foreach command {{script kill} {function kill} {client unpause}} {
            catch {r {*}$command}
        }
    }
    return -options $options $result
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
