"""What a run of pytest came to."""

import sys
import xml.etree.ElementTree as Xml


def outcomes(report):
    """The name of each test, and whether it passed."""
    for case in Xml.parse(report).iter("testcase"):
        problems = case.findall("failure") + case.findall("error")
        for problem in problems:
            print(case.get("name"), problem.get("message"), file=sys.stderr)
        yield f"{case.get('classname').partition('.')[2]}.{case.get('name')}", not problems
