#!/usr/bin/env python3
"""Signs the guestbook in a real browser.

    scripts/servers/guestbook.py URL FOLDER

Types into the form and clicks, then looks at the page: at the width of a desk and of a phone, light
and dark. Pictures are in FOLDER. Prints nothing when all is well; exits 1 with what is wrong."""

import sys
import tempfile

from browser import Browser

ENTRIES = [
    ("<b>Mallory</b>", "<script>document.title = 'mine'</script> & a \"quote\""),
    ("Grace", "Found this behind an Apache from the nineties. It felt right at home."),
    ("José", "¡Qué bonito! Greetings from Valparaíso."),
    ("Ada", "One executable, five protocols.\nAnd nobody had to rewrite a handler."),
]


def check(so, what):
    if not so:
        raise SystemExit(f"guestbook: {what}")


def count(browser):
    """How many entries the page says that there are; it shows only the newest."""
    first = browser.run("document.querySelector('.count').textContent").split()[0]
    return {"Nobody": 0, "One": 1}[first] if first in ("Nobody", "One") else int(first)


def sign(browser, name, text):
    browser.type("[name=name]", name)
    browser.type("[name=text]", text)
    browser.loads(lambda: browser.click("button"))


def main(url, folder):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(profile) as browser:
        browser.size(800, 845)
        browser.open(url)
        before = count(browser)
        check(browser.complaints() == [], browser.complaints())
        for name, text in ENTRIES:
            sign(browser, name, text)
            check(browser.complaints() == [], browser.complaints())
            first = browser.run("[...document.querySelector('li').querySelectorAll('h2, p')].map(e => e.textContent)")
            check(first[0].startswith(name + " ") and first[1] == text, f"{name} has signed, and the page says {first}")
        check(browser.run("location.href").rstrip("/") == url.rstrip("/"), "the redirect leads elsewhere")
        check(browser.run("document.title") == "Guestbook", "an entry was run")
        check(count(browser) == before + len(ENTRIES), "entries are missing")
        # Loading it again does not sign again.
        browser.loads(lambda: browser("Page.reload"))
        check(count(browser) == before + len(ENTRIES), "signed twice")
        # Without a name nothing is sent.
        browser.click("button")
        check(browser.run("document.querySelector(':invalid:focus')?.name") == "name", "an empty name is sent")
        browser.run("document.activeElement.blur()")
        for width, height, kind in ((800, 845, "desk"), (390, 844, "phone")):
            browser.size(width, height)
            for scheme in ("light", "dark"):
                browser.scheme(scheme)
                wide = browser.run("document.documentElement.scrollWidth")
                check(wide <= width, f"{wide} pixels wide at {width}")
                browser.screenshot(f"{folder}/{kind}-{scheme}.png")
        paper = "getComputedStyle(document.body).backgroundColor"
        dark = browser.run(paper)
        browser.scheme("light")
        check(dark != browser.run(paper), "dark is as light")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2])
