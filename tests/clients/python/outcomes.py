"""What a run of pytest came to."""

import sys
import xml.etree.ElementTree as Xml

from transcript import part, say


def outcomes(report):
    """The name of each test, and whether it passed."""
    for case in Xml.parse(report).iter("testcase"):
        problems = case.findall("failure") + case.findall("error")
        for problem in problems:
            print(case.get("name"), problem.get("message"), file=sys.stderr)
        yield f"{case.get('classname').partition('.')[2]}.{case.get('name')}", not problems


def tell(report, known):
    """Says which tests passed and which failed, but for those in which the servers are known to differ."""
    results = dict(outcomes(report))
    part("tests")
    say("many", len(results) > 1000)
    for name, passed in sorted(results.items()):
        if name.rpartition(".")[2].partition("[")[0] not in known:
            say(name, "passed" if passed else "failed")
