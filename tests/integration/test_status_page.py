"""The status page in Debian's Chromium: what an operator sees while servers die, are promoted and are drained.

The screenshots are in build/screenshots (HOLDFAST_SHOTS names another folder).
"""

import os
import pathlib
import subprocess

import psycopg
import pytest

from fake_admin import FakeAdmin, cluster, server, session
from harness.browser import FOLDER, Browser
from harness import mysql_load
from harness.load import TABLES, Inserter, Load, Reader
from harness.postgres import PostgresCluster
from harness.proxy import ROOT
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

SHOTS = pathlib.Path(os.environ.get("HOLDFAST_SHOTS", ROOT / "build/screenshots"))
TOKEN = "open sesame"
SIZES = [(400, False), (1000, True), (1600, False), (1600, True)]
PHONE, DESK = 400, 1600


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser") / "log")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def servers(template, workplace):
    cluster = PostgresCluster(template, workplace / "page")
    cluster.execute(TABLES)
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module")
def proxy(servers, shared_maria, start_module_proxy):
    def prepare(proxy):
        proxy.settings["admin"]["token"] = TOKEN
        proxy.add_cluster(shared_maria)
    return start_module_proxy(servers, before_start=prepare)


@pytest.fixture(scope="module")
def load(proxy):
    load = Load(proxy, {Inserter: 8, Reader: 16}, pause=0.05).start()
    yield load
    load.stop()


@pytest.fixture
def open_page(browser):
    """open_page(url, width, …): a page, closed after the test. Nothing moves in it (which costs much here), unless asked for."""
    opened = []

    def open(url, width, calm=True, **options):
        opened.append(browser.open(f"page {len(opened)}", url, width, calm=calm, **options))
        return opened[-1]

    yield open
    for page in opened:
        page.close()


@pytest.fixture
def fake(proxy):
    with FakeAdmin(proxy.get("/")[1]) as fake:
        yield fake


def address(proxy):
    return f"http://127.0.0.1:{proxy.admin_port}/"


def card(server):
    return f"[data-server='{server}']"


def wait_live(page):
    """Until the picture is there, and figures of two readings of the metrics."""
    page.wait("document.querySelector('#live') && !document.querySelector('#live').hidden && document.querySelectorAll('.wire').length > 1")
    page.wait("[...document.querySelectorAll('.proxy .big')].every((each) => each.innerText.endsWith('/s'))")


def fits(page):
    """Nothing has to be scrolled sideways."""
    return page.ask("document.documentElement.scrollWidth <= window.innerWidth && document.body.scrollWidth <= window.innerWidth")


def unlock(page, token=TOKEN):
    page.click("#unlock")
    page.fill("#token-value", token)
    page.press("Enter")


# -- how it reads --------------------------------------------------------------------------------------------


def test_figures():
    """What the page computes of metrics, without a browser."""
    subprocess.run(["node", "--test", FOLDER / "figures_test.js"], check=True, timeout=60)


def test_reads_well(proxy, load, open_page):
    """On a phone, a tablet and a desk, by day and by night."""
    pages = {size: open_page(address(proxy), size[0], dark=size[1]) for size in SIZES}
    for (width, dark), page in pages.items():
        wait_live(page)
        page.wait("document.querySelectorAll('.curve[d*=L]').length > 4")
        page.shoot(SHOTS / f"well-{width}-{'dark' if dark else 'light'}.png")
        assert fits(page)
        assert page.violations() == []
        assert page.problems() == []


def test_without_scripts_there_are_tables(proxy, open_page):
    page = open_page(address(proxy), 1000, scripts=False)
    page.shoot(SHOTS / "without-scripts-1000.png")
    text = page.text("#plain")
    assert "shop\tpostgres\tpg1" in text
    assert "primary, takes writes" in text
    assert page.ask("document.querySelector('#live').hidden") is True
    assert "http-equiv=\"refresh\"" in page.ask("document.querySelector('head noscript').innerHTML || document.head.innerHTML")
    assert page.problems() == []


def test_everything_is_reached_by_keyboard(proxy, open_page):
    page = open_page(address(proxy), 1000)
    wait_live(page)
    unlock(page)
    page.wait_text("#token-state", "unlocked")
    wanted = page.ask("[...document.querySelectorAll('button, input, select, summary, a')]"
                      ".filter((each) => each.checkVisibility() && !each.disabled && !each.closest('dialog'))"
                      ".map((each, place) => { each.dataset.place = place; return place; })")
    reached, unseen = set(), []
    page.ask("document.activeElement.blur()")
    for _ in range(400):  # the sessions' buttons appear on the way
        page.press("Tab")
        place, outline, name = page.ask("[Number(document.activeElement.dataset.place ?? -1), getComputedStyle(document.activeElement).outlineStyle,"
                                        " document.activeElement.outerHTML.slice(0, 120)]")
        if place >= 0 and outline == "none":
            unseen.append(name)
        reached.add(place)
        if reached >= set(wanted):
            break
    assert reached >= set(wanted)
    assert unseen == []


# -- what it shows -------------------------------------------------------------------------------------------


@pytest.fixture(params=["postgres", "mysql"])
def failing(request):
    """A proxy, servers of its own that may be killed, and clients at work."""
    if request.param == "postgres":
        request.getfixturevalue("load")
        yield request.getfixturevalue("proxy"), request.getfixturevalue("servers"), "shop", (PHONE, DESK)
        return
    servers = request.getfixturevalue("make_maria")()
    servers.execute(mysql_load.TABLES)
    servers.wait_replayed()
    proxy = request.getfixturevalue("start_proxy")(servers)
    load = mysql_load.Load(proxy, {mysql_load.Inserter: 2, mysql_load.Reader: 4}, pause=0.05).start()
    yield proxy, servers, servers.name, (DESK,)
    load.stop()


def test_a_failover_is_seen(failing, open_page):
    """By itself: the same document, which nobody touches."""
    proxy, servers, name, widths = failing
    pages = {width: open_page(address(proxy), width, dark=width == PHONE, calm=width == PHONE) for width in widths}
    old, shop = servers.primary, f"[data-cluster='{name}']"
    for page in pages.values():
        wait_live(page)
        page.ask("window.sameDocument = true")
        assert page.text(f"{card(old.name)} .role") == "Primary"
        page.wait(f"[...document.querySelectorAll(\"{shop} .traffic\")].some((each) => !each.classList.contains('weight-0'))")
    old.kill9()
    for width, page in pages.items():
        page.wait_text(f"{shop} .condition", "no primary")
        page.wait_text(f"{shop} .vacancy", "wait")
        page.wait_text(f"{shop} .clients", "held: there is no primary")
        page.wait_text(f"{card(old.name)} .server-state", "down")
        page.wait_text("#spoken", f"{name}: no primary")
        assert page.text("#headline").startswith(f"{name}: no primary")
        page.shoot(SHOTS / f"no-primary-{name}-{width}.png")
        assert fits(page)
    new = servers.promote()
    other = next(each for each in servers.running_replicas() if each is not new)
    for width, page in pages.items():
        page.wait_text(f"{shop} .condition", f"primary {new.name}")
        page.wait_text(f"{card(new.name)} .role", "Primary")
        page.wait_text(f"{card(other.name)} .server-follows", f"follows {new.name}")
        page.wait_text("#spoken", f"{name}: the primary is {new.name}")
        page.wait_text("#events", f"{new.name} is the primary, after {old.name}")
        page.wait_text("#events", f"{old.name} is not the primary any more")
        page.wait(f"document.querySelector(\"{shop} .shade\").getAttribute('d') !== ''")
        page.wait(f"!document.querySelector(\"{shop} .vacancy\")")
    wait_until(lambda: pages[DESK].ask(f"parseFloat(document.querySelector(\"{card(new.name)} .server-rate\").innerText)") > 0,
               "the new primary's traffic is shown")
    for width, page in pages.items():
        page.shoot(SHOTS / f"new-primary-{name}-{width}.png")
        assert page.ask("window.sameDocument") is True
        assert fits(page)
        assert page.violations() == []
        assert page.problems() == []


@pytest.mark.parametrize("width, dark", [(PHONE, True), (DESK, False)])
def test_states_have_words_and_shapes(fake, open_page, width, dark):
    hostile = "<img src=x onerror=alert(1)>"
    fake.clusters = [
        cluster("shop", [server("pg1", "primary"), server("pg2"), server("pg3", follows="pg2", lag_s=None),
                         server("pg4", health="lagging", takes_reads=False, lag_s=42.0, reason="42 s behind, max_lag is 10 s")], paused=True),
        cluster("blog", [server("my1", "unknown", health="down", takes_reads=False, reason="connect: Connection refused"),
                         server("my2", state="drain", state_reason=hostile, state_by="10.0.0.9", takes_reads=False, follows="my1"),
                         server("my3", "primary", health="quarantined", reason="writable, and not the primary"),
                         server("my4", state="maintenance", takes_reads=False, follows=hostile)],
                protocol="mysql", split_brain=True, sessions={"held": 12, "total": 36})]
    fake.sessions = [session(1, user=hostile, state="held", held_s=3.2, waits_for="there is no primary")]
    fake.per_second = {"pg1": 240, "pg2": 1900}
    page = open_page(fake.url, width, dark=dark)
    wait_live(page)
    page.ask("document.querySelector('#sessions').scrollIntoView()")
    page.wait_text("#sessions-rows", hostile)
    for name, words in {"pg2": "takes reads", "pg4": "lagging", "my1": "down", "my2": "draining", "my3": "quarantined", "my4": "in maintenance"}.items():
        assert words in page.text(f"{card(name)} .server-state")
    shapes = page.ask("Object.fromEntries([...document.querySelectorAll('.server')].map((each) => [each.dataset.server ?? '', each.querySelector('.icon').dataset.shape]))")
    assert shapes == {"pg1": "disc", "pg2": "disc", "pg3": "disc", "pg4": "triangle", "my1": "square", "my2": "half", "my3": "diamond",
                      "my4": "half", "": "ring"}
    assert "lag not known" in page.text(f"{card('pg3')} .server-follows")
    assert hostile in page.text(f"{card('my2')} .server-why")
    assert "paused" in page.text("[data-cluster='shop'] .condition")
    assert "split brain" in page.text("[data-cluster='blog'] .condition")
    page.ask("window.scrollTo(0, 0)")
    page.shoot(SHOTS / f"rare-states-{width}.png")
    assert fits(page)
    assert page.violations() == []
    assert page.problems() == []


def test_ten_thousand_sessions_are_shown_by_the_page(fake, open_page):
    fake.clusters = [cluster("shop", [server("pg1", "primary"), server("pg2")])]
    fake.sessions = [session(number) for number in range(1, 10_001)]
    fake.sessions[7_000].update(state="held", held_s=12.5, waits_for="there is no primary")
    page = open_page(fake.url, 1000, height=400)
    wait_live(page)
    assert "/api/v1/sessions" not in fake.asked  # they are below the fold
    page.ask("document.querySelector('#sessions').scrollIntoView()")
    page.wait_text("#sessions-count", "10,000")
    rows = "document.querySelectorAll('#sessions-rows tr')"
    assert page.ask(f"{rows}.length") == 50
    assert "7001" in page.ask(f"{rows}[0].innerText")  # who waits longest comes first
    page.click("#sessions-next")
    page.wait_text("#sessions-page", "2 of 200")
    page.fill("#sessions-filter", "worker-33 app5")
    page.wait_text("#sessions-count", "of 10,000")
    assert page.ask(f"[...{rows}].every((row) => row.innerText.includes('worker-33') && row.innerText.includes('app5'))")
    assert page.problems() == []


def test_the_proxy_goes_away_and_comes_back(fake, open_page):
    fake.clusters = [cluster("shop", [server("pg1", "primary"), server("pg2")])]
    page = open_page(fake.url, 1000)
    wait_live(page)
    fake.is_silent = True
    page.wait_text("#banner", "No answer from the proxy since")
    assert page.ask("document.body.classList.contains('is-stale')")
    page.shoot(SHOTS / "no-answer-1000.png")
    fake.clusters = [cluster("shop", [server("pg1", "unknown", health="down"), server("pg2", "primary")])]
    fake.is_silent = False
    page.wait("document.querySelector('#banner').hidden")
    page.wait_text(f"{card('pg2')} .role", "Primary")
    assert not page.ask("document.body.classList.contains('is-stale')")
    assert all("Failed to load resource" in problem for problem in page.problems())


# -- what can be ordered -------------------------------------------------------------------------------------


def test_without_the_right_token_nothing_can_be_ordered(proxy, open_page):
    page = open_page(address(proxy), 1000)
    wait_live(page)
    assert page.ask("[...document.querySelectorAll('button.order, #reload')].every((each) => each.disabled)")
    unlock(page, "wrong")
    page.wait_text("#token-error", "the token is wrong")
    page.wait_text("#token-error", "admin.token")
    assert page.ask("[...document.querySelectorAll('button.order')].every((each) => each.disabled)")


def test_a_server_is_drained_and_made_ready(proxy, servers, open_page):
    page = open_page(address(proxy), 1000, dark=True)
    wait_live(page)
    unlock(page)
    page.wait_text("#token-state", "unlocked")
    replica = servers.running_replicas()[0]
    page.click(f"{card(replica.name)} [data-state=drain]")
    page.fill("#order-reason", "kernel update")
    page.shoot(SHOTS / "drain-1000.png", whole=False)
    assert page.violations() == []
    page.press("Enter")
    page.wait_text("#order-error", "it won’t survive a restart")  # no state file is configured
    page.press("Escape")
    page.wait_text(f"{card(replica.name)} .server-state", "draining")
    page.wait_text(f"{card(replica.name)} .server-why", "kernel update")
    page.wait_text("#events", f"{replica.name}: set to drain")
    assert "event=server_state_set" in proxy.log_text() and "kernel update" in proxy.log_text()
    page.click(f"{card(replica.name)} [data-state=ready]")
    page.click("#order-do")
    page.wait_text("#order-error", "it won’t survive a restart")
    page.press("Escape")
    page.wait(f"document.querySelector(\"{card(replica.name)} [data-state=ready]\").hidden")

    page.click(f"{card(servers.primary.name)} [data-state=drain]")
    page.click("#order-do")
    page.wait_text("#order-error", "its writes have nowhere to go")
    page.wait_text("#order-error", "promote another server first")
    page.press("Escape")


def test_a_cluster_is_paused_and_resumed(proxy, open_page):
    page = open_page(address(proxy), 1000)
    wait_live(page)
    unlock(page)
    page.wait_text("#token-state", "unlocked")
    shop = "[data-cluster='shop']"
    page.click(f"{shop} button[aria-label='Pause shop']")
    page.click("#order-do")
    page.wait_text(f"{shop} .condition", "paused")
    page.wait_text(f"{shop} .proxy", "paused")
    page.click(f"{shop} button[aria-label='Resume shop']")
    page.click("#order-do")
    page.wait(f"!document.querySelector(\"{shop} .condition\").innerText.includes('paused')")


def test_a_session_is_killed(proxy, open_page):
    """Whatever it calls itself."""
    name = "<b onmouseover=alert(1)>nightly"
    page = open_page(address(proxy), PHONE)
    wait_live(page)
    unlock(page)
    page.wait_text("#token-state", "unlocked")
    with proxy.connect(application_name=name) as connection:
        connection.execute("SELECT 1")
        page.fill("#sessions-filter", "nightly")
        page.wait_text("#sessions-rows", name)
        page.click("#sessions-rows button")
        page.click("#order-do")
        page.wait_text("#sessions-none", "None fits the filter")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT 1")


def test_the_configuration_is_shown_and_reloaded(proxy, open_page):
    page = open_page(address(proxy), 1000)
    wait_live(page)
    unlock(page)
    page.wait_text("#token-state", "unlocked")
    page.click("#settings summary")
    page.fill("#settings-filter", "cluster.shop health interval")
    page.wait("document.querySelectorAll('#settings-rows tr').length >= 1")
    assert TOKEN not in page.ask("document.documentElement.innerHTML")
    proxy.settings["proxy"]["log_level"] = "warn"
    proxy.write_config()
    page.click("#reload")
    page.wait_text("#order-extra", "log_level")
    page.click("#order-do")
    page.wait("!document.querySelector('#order').open")
    page.fill("#settings-filter", "proxy.log_level")
    page.wait_text("#settings-rows", "warn")
