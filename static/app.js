// Comforts: every page works without them.

const make = (tag, className, textContent = "") =>
  Object.assign(document.createElement(tag), { className, textContent });
const counted = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;
// Code points after NFC, as the server counts them.
const lengthOf = (text) => [...text.normalize()].length;

// For screen readers. Emptied first, or the same words would be read out only once.
const region = make("div", "sr-only");
region.setAttribute("aria-live", "polite");
let speech;
const announce = (words, pause = 100) => {
  clearTimeout(speech);
  region.textContent = "";
  speech = setTimeout(() => { region.textContent = words; }, pause);
};

// Browsers remember plain text that was sent, and pages that were left.
let hideAll = [];
for (const moment of ["submit", "pagehide", "pageshow"]) {
  addEventListener(moment, () => hideAll.forEach((hide) => hide()));
}

// After GOV.UK's password input. Named by text: an aria-label would make two controls "password".
const addReveal = (input) => {
  const name = make("span", "sr-only", ` ${input.labels[0]?.textContent.toLowerCase()}`);
  const button = make("button", "secondary show-password");
  button.type = "button";
  button.setAttribute("aria-controls", input.id);
  button.append("Show", name);
  const show = (shown) => {
    input.type = shown ? "text" : "password";
    button.firstChild.data = shown ? "Hide" : "Show";
  };
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    show(shown);
    announce(`Your password is ${shown ? "shown" : "hidden"}.`);
  });
  hideAll.push(() => show(false));
  input.after(button);
  input.parentElement.classList.add("with-show");
};

// The length alone: only the server knows whether a password is common.
const measure = ({ value, attributes }) => {
  const [least, most] = attributes.passwordrules?.value.match(/\d+/g) ?? [];
  const length = lengthOf(value);
  if (length < least) return [`${counted(least - length, "more character")} needed.`, false];
  if (length > most) return [`${counted(length - most, "character")} too many.`, false];
  return ["Long enough.", true];
};

// Not while the second is typed: once it is as long as the first, or was left.
const compare = (first, second, left) => {
  if (!first || !(left || lengthOf(second) >= lengthOf(first))) return ["", false];
  return first === second ? ["Passwords match.", true] : ["Passwords don't match.", false];
};

// The server's message is about the password that was sent: newer words take its place, and good ones
// its line in the summary too.
const replaceError = (input, line, isGood) => {
  document.getElementById(`${input.id}-error`)?.replaceWith(line);
  input.removeAttribute("aria-invalid");
  const ids = (input.getAttribute("aria-describedby") ?? "").replace(`${input.id}-error`, "").trim();
  if (ids) input.setAttribute("aria-describedby", ids);
  else input.removeAttribute("aria-describedby");
  if (!isGood) return;
  const summary = document.querySelector(".summary");
  summary?.querySelector(`a[href="#${input.id}"]`)?.closest("li").remove();
  if (!summary?.querySelector("li")) summary?.remove();
};

// A line below a field, there while that is filled: words that come late move no button.
const addLine = (input) => {
  const line = make("p", "advice");
  line.hidden = true;
  input.parentElement.append(line);
  return ([words, isGood]) => {
    line.hidden = !input.value;
    line.textContent = input.value && words;
    if (line.textContent) replaceError(input, line, isGood);
    return line.textContent;
  };
};

const addAdvice = (form) => {
  const [first, second] = form.querySelectorAll("input[autocomplete=new-password]");
  if (!second) return;
  const [length, match] = [first, second].map(addLine);
  let left;
  const advise = ({ target, type }) => {
    if (target !== first && target !== second) return;
    left = second.value && (left || type === "blur");
    const words = [length(measure(first)), match(compare(first.value, second.value, left))];
    announce((target === first ? words : words.slice(1)).join(" "), 500);
  };
  form.addEventListener("input", advise);
  second.addEventListener("blur", advise);
};

// Heard at its end only. Above 90 s the server's minutes stand.
const countDown = (place) => {
  const end = Date.now() + place.dataset.wait * 1000;
  const timer = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (!place.isConnected) return clearInterval(timer);
    if (left > 90) return;
    place.textContent = left > 0 ? `in ${counted(left, "second")}` : "now";
    if (left > 0) return;
    clearInterval(timer);
    announce(place.parentElement.textContent);
  }, 1000);
};

const enhance = (main) => {
  hideAll = [];
  main.append(region);
  // Words of the page before.
  announce("");
  main.querySelectorAll("input[type=password]").forEach(addReveal);
  main.querySelectorAll("form").forEach(addAdvice);
  main.querySelectorAll("[data-wait]").forEach(countDown);
};

// The answer to a form in the place of its page, as if it was loaded; but passwords stay typed.
const replacePage = (page) => {
  const [old, main] = [document, page].map((it) => it.querySelector("main"));
  // Not by type: one may be shown again.
  const passwords = "input[autocomplete$=-password]";
  for (const { name, value } of old.querySelectorAll(passwords)) {
    const input = main.querySelector(`${passwords}[name=${name}]`);
    if (input) input.value = value;
  }
  // By hand: browsers heed an autofocus once per document.
  const target = main.querySelector("[autofocus]") ?? main;
  target.removeAttribute("autofocus");
  document.title = page.title;
  old.replaceWith(main);
  enhance(main);
  scrollTo(0, 0);
  target.focus();
};

// The server answers this header with 200 and a Location where it would redirect. A navigation tells
// password managers that the form was accepted. Redirects of a proxy, and all that fails or is no page
// of ours, are left to the browser.
const sendByFetch = async (event) => {
  const form = event.target;
  try {
    const body = new URLSearchParams(new FormData(form));
    const headers = { "X-Requested-With": "fetch" };
    const answer = await fetch(form.action, { method: "POST", body, headers, redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (event !== latest) return;
    const next = answer.headers.get("Location");
    if (next) return location.assign(next);
    replacePage(page);
    settle();
  } catch {
    if (event === latest) form.submit();
  }
};

// A form is sent once, however often it is pressed. Disabling the button would lose the focus.
let sent, latest, patience;
const settle = () => {
  clearTimeout(patience);
  sent?.submitter?.removeAttribute("aria-busy");
  sent = undefined;
};
const sendOnce = (event) => {
  if (event.defaultPrevented) return;
  if (event.target === sent?.target) return event.preventDefault();
  settle();
  sent = latest = event;
  // Nothing tells that a file has come: the page stays.
  const isDownload = "download" in event.target.dataset;
  if (!isDownload) event.submitter?.setAttribute("aria-busy", "true");
  // The connection may have died: a later press tries again.
  patience = setTimeout(settle, isDownload ? 1000 : 8000);
  if (!event.target.querySelector("[autocomplete=new-password]")) return;
  event.preventDefault();
  sendByFetch(event);
};

enhance(document.querySelector("main"));
// After all other listeners: what one of them stopped is not under way.
addEventListener("submit", sendOnce);
// A page from memory starts anew.
addEventListener("pageshow", settle);
