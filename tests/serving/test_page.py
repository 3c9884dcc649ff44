"""The page in a real browser, answered by a stand-in over real HTTP."""

import base64
import json
import socket
import threading

import pytest
import uvicorn
from chromium import Chromium, find_chromium
from stand_in_backend import TOKEN, StandIn, build_service
from waiting import wait_until

from raytrain.serving.access import digest_of
from raytrain.serving.questions import Limits
from raytrain.serving.refusals import too_busy

EVIL = "<img src=x onerror=\"document.title='x'\"><script>document.title='x'</script>"

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    chromium = Chromium(find_chromium())
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def service():
    """A stand-in that may be told what to do, and its address."""
    backend = StandIn(labels=("真", EVIL))
    app = build_service(digest_of(TOKEN), Limits(texts=50, characters=200), backend).build_app()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    backend.address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    yield backend
    server.should_exit = True
    thread.join(10)


class Page:
    """What a person does with the page, and sees."""

    def __init__(self, browser):
        self.browser = browser

    def run(self, expression):
        return self.browser.evaluate(expression)

    def type(self, where, text):
        self.run(f"document.querySelector({json.dumps(where)}).focus()")
        self.browser.call("Input.insertText", text=text)

    def click(self, where):
        self.run(f"document.querySelector({json.dumps(where)}).click()")

    def shows(self, where):
        return self.run(f"!document.querySelector({json.dumps(where)}).hidden")

    def text(self, where):
        return self.run(f"document.querySelector({json.dumps(where)})?.textContent")

    def wait(self, expression):
        wait_until(lambda: self.run(expression), 60)

    def drop(self, name, data):
        """Drops a file of these bytes on the page."""
        coded = json.dumps(base64.b64encode(data).decode())
        self.run(
            f"(() => {{ const data = new DataTransfer();"
            f"const bytes = Uint8Array.from(atob({coded}), (char) => char.charCodeAt(0));"
            f"data.items.add(new File([bytes], {json.dumps(name)}));"
            "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, "
            "cancelable: true})); })()"
        )

    def answered(self, count):
        self.wait(f"document.querySelectorAll('#rows > li').length === {count} && !find('ask').disabled")


@pytest.fixture(params=[360, 1280])
def page(request, browser, service):
    """The page in Chinese, with the token entered."""
    service.before = None
    service.asked.clear()
    browser.open(service.address, request.param)
    browser.evaluate("sessionStorage.clear(), localStorage.setItem('raytrain-language', 'zh')")
    browser.open(service.address, request.param)
    page = Page(browser)
    page.wait("!find('access').hidden")
    page.type("#token", TOKEN)
    page.click("#access button")
    page.wait("!find('question').hidden")
    return page


def fits(page):
    return page.run("document.documentElement.scrollWidth <= innerWidth")


def test_texts_that_are_typed_are_answered_and_stay_text(page):
    page.type("#texts", f"短\n这是一条很长的消息\n\n{EVIL}")
    page.click("#ask")
    page.answered(3)
    assert page.run("document.title") == "raytrain"
    assert page.run("document.querySelectorAll('#rows script, #rows img').length") == 0
    assert EVIL in page.text("#rows > li:nth-child(3) .text")
    assert page.run(
        "[...document.querySelectorAll('#rows > li:first-child .number')].map(x => x.textContent)"
    ) == [
        "90.0 %",
        "10.0 %",
    ]
    widths = "[...document.querySelectorAll('#rows > li:first-child .fill')].map(x => x.style.width)"
    assert page.run(widths) == ["90%", "10%"]
    assert "3" in page.text("#state") and fits(page)
    assert page.browser.told("Log.entryAdded", "Runtime.exceptionThrown") == []


@pytest.mark.parametrize(
    ("name", "data", "texts"),
    [
        ("a.txt", "短\n长一些的".encode(), ["短", "长一些的"]),
        ("a.csv", '\ufeffid,text\n1,"有逗号，\n和""引号"""\n2,短\n'.encode(), ['有逗号，\n和"引号"', "短"]),
        ("a.csv", "没有表头的一列\n短\n".encode("gb18030"), ["没有表头的一列", "短"]),
    ],
)
def test_a_file_that_is_dropped_is_answered(page, service, name, data, texts):
    page.drop(name, data)
    page.answered(2)
    assert service.asked == [("posts", texts, None)]


def test_a_file_in_another_encoding_says_so_and_the_column_text_goes_before_its_like(page, service):
    page.drop("a.csv", "content,text\n标题,正文在这里\n".encode("gb18030"))
    page.answered(1)
    assert service.asked == [("posts", ["正文在这里"], None)]
    assert "a.csv" in page.text("#state") and "GB18030" in page.text("#state")
    page.drop("b.csv", "text\n短\n".encode())
    page.answered(1)
    assert "GB18030" not in page.text("#state")


def test_many_texts_go_in_several_requests(page, service):
    page.drop("many.txt", "\n".join(f"第{number}条" for number in range(120)).encode())
    page.answered(120)
    # What a test before asked may come late on a busy machine.
    assert [len(texts) for _, texts, _ in service.asked if texts[0].startswith("第")] == [50, 50, 20]


def test_spans_are_coloured_where_they_stand(page):
    page.run("find('ensemble').value = 'names', find('ensemble').dispatchEvent(new Event('change'))")
    page.type("#texts", "𠮷北京到了\n好")
    page.click("#ask")
    page.answered(2)
    assert page.text("#rows mark") == "北京PER"
    assert page.text("#rows > li:first-child .text") == "𠮷北京PER到了"
    assert page.text("#rows > li:nth-child(2) .note") == "没有找到实体"


def test_words_that_moved_it_are_shown(page):
    page.type("#texts", "停水了")
    page.click("#ask")
    page.answered(1)
    page.click(".ask-words")
    page.wait("document.querySelector('.words') !== null")
    marks = page.run("[...document.querySelectorAll('.words mark')].map(x => [x.textContent, x.className])")
    assert marks == [["停", "against"], ["水", "for"], ["了", "against"]]
    assert fits(page)


def test_an_error_is_told_as_text_and_goes_with_the_next_answer(page):
    page.type("#texts", "长" * 201)
    page.click("#ask")
    page.wait("!find('error').hidden")
    assert page.text("#error") == "expected at most 200 characters of a text, found 201"
    page.run("find('texts').value = ''")
    page.click("#ask")
    assert page.text("#error") == "没有文本。"
    page.type("#texts", "短")
    page.click("#ask")
    page.answered(1)
    assert not page.shows("#error")


def test_a_full_queue_is_waited_for(page, service):
    async def once():
        service.before = None
        raise too_busy()

    service.before = once
    page.type("#texts", "短")
    page.click("#ask")
    page.answered(1)
    assert len(service.asked) == 2 and not page.shows("#error")


def test_a_wrong_token_is_asked_for_again_and_the_right_one_kept(page, service):
    assert page.run("sessionStorage.getItem('raytrain-token')") == TOKEN
    page.run("sessionStorage.setItem('raytrain-token', 'another')")
    page.type("#texts", "短")
    page.click("#ask")
    page.wait("!find('access').hidden")
    assert page.text("#error") == "令牌不对，请再输入一次。"
    assert page.run("sessionStorage.getItem('raytrain-token')") is None


def test_the_language_changes_and_is_kept(page, service):
    page.click("#language")
    assert page.text("#ask") == "Predict" and page.run("document.documentElement.lang") == "en"
    page.browser.open(service.address, 1280)
    page.wait("!find('question').hidden")
    assert page.text("#hint") == "Texts, one a line"
    assert page.run("Object.keys(TOLD.zh).sort().join() === Object.keys(TOLD.en).sort().join()")


def test_the_table_that_is_taken_away_runs_nothing_in_a_spreadsheet(page):
    page.type("#texts", '=1+1\n他说"好",走了')
    page.click("#ask")
    page.answered(2)
    head, *rows = page.run("table()").split("\r\n")
    assert head.startswith("text,label,proba_真,")
    assert rows[0].startswith("'=1+1,真,0.6,0.4") and rows[1].startswith('"他说""好"",走了",')


def test_nothing_is_fetched_from_elsewhere_and_nothing_of_the_page_may_run(page, service):
    requests = page.browser.told("Network.requestWillBeSent")
    assert {one["request"]["url"].startswith(service.address) for one in requests} == {True}
    page.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    page.run(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title=1'}))"
    )
    assert page.run("document.title") == "raytrain"
