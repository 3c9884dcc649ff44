"use strict";
// All that comes from texts, files or the service is set as text, never as HTML.
const SHOWN = 300; // results on the page
const PIECE = 64; // texts of a request
const TRIES = 30; // of a request that finds the queue full
const KEPT = "raytrain-token";

const find = (id) => document.getElementById(id);
let language = (localStorage.getItem("raytrain-language") || navigator.language || "zh").startsWith("zh") ? "zh" : "en";
let ensembles = [];
let most = PIECE;
let results = null; // of the last question: {facts, texts, pairs, predictions}
let asking = 0; // an answer to an earlier question than this is not shown

function told(key, ...values) {
  return values.reduce((text, value) => text.replace("{}", () => value), TOLD[language][key]);
}

function make(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const one of document.querySelectorAll("[data-told]")) one.textContent = told(one.dataset.told);
  find("language").textContent = told("other");
  find("hint").textContent = told(chosen()?.pairs ? "hintPairs" : "hint");
  if (results) show();
}

function complain(text) {
  find("error").textContent = text || "";
  find("error").hidden = !text;
}

const chosen = () => ensembles.find((one) => one.name === find("ensemble").value);

// An error whose words the service chose, or this page.
class Told extends Error {}

async function call(path, body) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEPT) || "none"}` };
  const options = body ? { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) } : { headers };
  for (let tried = 1; ; tried++) {
    let response, answer;
    try {
      response = await fetch(path, options);
      answer = await response.json();
    } catch {
      throw new Told(told("lost"));
    }
    if (response.ok) return answer;
    if (response.status === 401) {
      askForToken(sessionStorage.getItem(KEPT) !== null);
      throw new Told("");
    }
    if (response.status !== 429 || tried === TRIES) throw new Told(String(answer.error));
    await new Promise((resolve) => setTimeout(resolve, 1000 * (Number(response.headers.get("Retry-After")) || 1)));
  }
}

function askForToken(wasWrong) {
  sessionStorage.removeItem(KEPT);
  find("access").hidden = false;
  find("question").hidden = true;
  complain(wasWrong ? told("wrongToken") : "");
  find("token").focus();
}

async function begin() {
  try {
    const answer = await call("ensembles");
    ensembles = answer.ensembles;
    most = Math.min(PIECE, answer.limits.texts);
    find("ensemble").replaceChildren(...ensembles.map((one) => new Option(one.name, one.name)));
    find("choice").hidden = ensembles.length < 2;
    find("access").hidden = true;
    find("question").hidden = false;
    complain(ensembles.filter((one) => one.problem).map((one) => told("problem", one.problem)).join("\n"));
    speak();
    find("texts").focus();
  } catch (error) {
    if (error.message) complain(error.message);
  }
}

// ---- what is asked

function rowsOfText(text) {
  return text.split(/\r\n|\r|\n/).filter((line) => line.trim()).map((line) => (chosen().pairs ? line.split("\t") : [line]));
}

// Rows of a file of cells, quotes as in RFC 4180.
function rowsOfCells(text, separator) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (char === '"' && !cell) quoted = true;
    else if (char === separator) { row.push(cell); cell = ""; }
    else if (char === "\n" || char === "\r") {
      if (char === "\r" && text[i + 1] === "\n") i++;
      rows.push([...row, cell]);
      row = []; cell = "";
    } else cell += char;
  }
  if (cell || row.length) rows.push([...row, cell]);
  return rows.filter((one) => one.some((part) => part.trim()));
}

// Texts of a CSV: its column `text` (`text` and the one after it, of pairs), else the first, without a header.
function rowsOfTable(text, separator) {
  const rows = rowsOfCells(text, separator);
  if (!rows.length) return [];
  const names = rows[0].map((name) => name.trim().toLowerCase());
  const known = names.findIndex((name) => /^(text|文本|content|内容|微博|sentence)\d?$/.test(name));
  const place = names.includes("text") ? names.indexOf("text") : known;
  return (place < 0 ? rows : rows.slice(1)).map((row) => row.slice(Math.max(place, 0)));
}

async function readFile(file) {
  const bytes = await file.arrayBuffer();
  let text;
  let note = "";
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    text = new TextDecoder("gb18030", { fatal: true }).decode(bytes);
    note = told("notUtf8", file.name); // what Big5 holds is valid there, too: a person must look
  }
  const suffix = file.name.toLowerCase().split(".").pop();
  if (suffix === "csv" || suffix === "tsv") return [rowsOfTable(text, suffix === "csv" ? "," : "\t"), note];
  return [rowsOfText(text), note];
}

async function takeFile(file) {
  let rows, note;
  try {
    [rows, note] = await readFile(file);
  } catch {
    complain(told("noFile"));
    return;
  }
  await ask(rows, note);
}

async function ask(rows, note = "") {
  const facts = chosen();
  const texts = rows.map((row) => row[0]);
  const pairs = facts.pairs ? rows.map((row) => row[1]) : null;
  complain("");
  if (!texts.length) return complain(told("none"));
  if (pairs && pairs.some((pair) => pair === undefined)) return complain(told("noPair"));
  const own = ++asking;
  const found = { facts, texts, pairs, predictions: [], version: "", note };
  find("ask").disabled = true;
  try {
    for (let start = 0; start < texts.length; start += most) {
      find("state").textContent = told("working", `${start} / ${texts.length}`);
      const body = { ensemble: facts.name, texts: texts.slice(start, start + most) };
      if (pairs) body.pairs = pairs.slice(start, start + most);
      const answer = await call("predict", body);
      if (own !== asking) return;
      found.version = answer.version;
      found.facts = { ...facts, labels: answer.labels };
      found.predictions.push(...answer.predictions);
    }
    results = found;
    show();
  } catch (error) {
    find("state").textContent = "";
    if (!(error instanceof Told)) throw error;
    if (error.message) complain(error.message);
  } finally {
    if (own === asking) find("ask").disabled = false;
  }
}

// ---- what is answered

function show() {
  const { facts, texts, predictions, version, note } = results;
  find("state").textContent = [told("done", texts.length, version), note].filter(Boolean).join(" ");
  find("results").hidden = false;
  find("rows").replaceChildren(...predictions.slice(0, SHOWN).map((_, place) => rowOf(facts, place)));
  find("more").textContent = texts.length > SHOWN ? told("more", SHOWN) : "";
}

function rowOf(facts, place) {
  const row = make("li");
  const prediction = results.predictions[place];
  const text = make("div", "text");
  if (prediction.spans) {
    text.append(...coloured(results.texts[place], prediction.spans, facts.labels));
    row.append(text, prediction.spans.length ? spanBars(prediction.spans) : make("div", "note", told("noSpans")));
    return row;
  }
  text.append(make("bdi", "", results.texts[place]));
  if (results.pairs) text.append(make("br"), make("bdi", "", results.pairs[place]));
  row.append(text, bars(prediction, facts.labels));
  const button = make("button", "ask-words", told("words"));
  button.type = "button";
  button.addEventListener("click", () => weigh(facts, place, row, button));
  row.append(button);
  return row;
}

function bar(list, name, value, decided) {
  const fill = make("div", decided ? "fill decided" : "fill");
  fill.style.width = `${100 * value}%`;
  const track = make("div", "track");
  track.append(fill);
  list.append(make("bdi", decided ? "decided" : "", name), track, make("span", "number", `${(100 * value).toFixed(1)} %`));
}

function bars(prediction, labels) {
  const list = make("div", "bars");
  for (const label of labels) {
    bar(list, String(label), prediction.probabilities[String(label)], label === prediction.label);
  }
  return list;
}

function spanBars(spans) {
  const list = make("div", "bars");
  for (const span of spans) bar(list, `${span.text} ${span.type}`, span.confidence, false);
  return list;
}

// Places of spans are in characters as Python counts them, whole ones beyond the first plane too.
function coloured(text, spans, types) {
  const characters = [...text];
  const pieces = [];
  let end = 0;
  for (const span of spans) {
    pieces.push(make("span", "", characters.slice(end, span.start).join("")));
    const mark = make("mark", `k${Math.max(types.indexOf(span.type), 0) % 6}`, characters.slice(span.start, span.end).join(""));
    mark.append(make("small", "", span.type));
    pieces.push(mark);
    end = span.end;
  }
  pieces.push(make("span", "", characters.slice(end).join("")));
  return pieces;
}

async function weigh(facts, place, row, button) {
  button.disabled = true;
  const body = { ensemble: facts.name, text: results.texts[place] };
  if (results.pairs) body.pair = results.pairs[place];
  try {
    const answer = await call("words", body);
    const words = make("div", "words");
    for (const part of answer.parts) {
      for (const [word, fall] of part) {
        if (fall === null) {
          words.append(make("span", "", word));
          continue;
        }
        const mark = make("mark", fall > 0 ? "for" : "against", word);
        mark.style.setProperty("--much", `${Math.min(80, 160 * Math.abs(fall)).toFixed(1)}%`);
        mark.title = `${fall > 0 ? "−" : "+"}${Math.abs(100 * fall).toFixed(1)}`;
        words.append(mark);
      }
      words.append(make("br"));
    }
    words.append(make("span", "note", told("wordsNote", answer.label)));
    if (answer.is_cut) words.append(make("span", "note", told("wordsCut")));
    row.append(words);
    button.remove();
  } catch (error) {
    button.disabled = false;
    if (error.message) complain(error.message);
  }
}

// ---- what is taken away

// A spreadsheet would run a cell that begins like a formula.
function cell(value) {
  const text = String(value);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function table() {
  const { facts, texts, pairs, predictions } = results;
  const isTagger = facts.task === "tag";
  const head = isTagger ? ["spans"] : ["label", ...facts.labels.map((label) => `proba_${label}`)];
  const rows = predictions.map((one, place) => {
    const own = pairs ? [texts[place], pairs[place]] : [texts[place]];
    if (isTagger) return [...own, JSON.stringify(one.spans)];
    return [...own, one.label, ...facts.labels.map((label) => Number(one.probabilities[String(label)].toFixed(6)))];
  });
  return [[...(pairs ? ["text", "pair"] : ["text"]), ...head], ...rows].map((row) => row.map(cell).join(",")).join("\r\n");
}

function download() {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", table(), "\r\n"], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

// ---- what is done with the page

find("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("raytrain-language", language);
  speak();
});
find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT, find("token").value.trim());
  find("token").value = "";
  begin();
});
find("question").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(rowsOfText(find("texts").value));
});
find("ensemble").addEventListener("change", speak);
find("download").addEventListener("click", download);
find("file").addEventListener("change", () => {
  const [file] = find("file").files;
  find("file").value = "";
  if (file) takeFile(file);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
    const file = name === "drop" && event.dataTransfer.files[0];
    if (file && !find("question").hidden) takeFile(file);
  });
}

speak();
(async () => {
  const health = await fetch("health").then((response) => response.json(), () => ({}));
  if (health.token && !sessionStorage.getItem(KEPT)) askForToken(false);
  else await begin();
})();
