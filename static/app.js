// Comforts: every page works without them.

const make = (tag, className, textContent = "") =>
  Object.assign(document.createElement(tag), { className, textContent });
const counted = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;
// Code points after NFC, as the server counts them.
const lengthOf = (text) => [...text.normalize()].length;

// For screen readers. Emptied first, or the same words would be read out only once.
const region = make("div", "sr-only");
region.setAttribute("aria-live", "polite");
document.querySelector("main")?.append(region);
let speech;
const announce = (words, pause = 100) => {
  clearTimeout(speech);
  region.textContent = "";
  speech = setTimeout(() => { region.textContent = words; }, pause);
};

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
  // Browsers remember plain text that was sent, and pages that were left.
  for (const moment of ["submit", "pagehide", "pageshow"]) addEventListener(moment, () => show(false));
  input.after(button);
  input.parentElement.classList.add("with-show");
};

const ROWS = "abcdefghijklmnopqrstuvwxyz\n01234567890\nqwertyuiop\nasdfghjkl\nzxcvbnm\n1q2w3e4r5t6y7u8i9o0p\n";
const FOURS = (ROWS + [...ROWS].reverse().join("")).matchAll(/(?=(....))/g);
const RUN = RegExp([...FOURS].map((four) => four[1]).join("|"), "g");

// The form names the person, the title the site. The server tries these too.
const namesIn = (form) => {
  const { username, email } = form.elements;
  return ["password", document.title.split("–").pop(), username?.value, email?.value]
    .map((text = "") => text.slice(0, 254)).join(" ").toLowerCase()
    .split(/[^\p{L}\p{N}]+/u).filter((name) => name.length > 2);
};

// As guessers do: p@ssw0rd is password. As long as it was, so that places stay the same.
const plain = (text) => text.replace(/[@03$]/g, (sign) => ({ "@": "a", 0: "o", 3: "e", $: "s" })[sign]);

// What is left when each easy part counts as one character, and what the first of them was.
const discounted = (password, names) => {
  let [rest, why] = [password.toLowerCase(), ""];
  for (const name of names) {
    for (let at; (at = plain(rest).indexOf(plain(name))) >= 0; why = "contains a name or word that is tried first") {
      rest = `${rest.slice(0, at)}\0${rest.slice(at + name.length)}`;
    }
  }
  const discount = (part, reason) => {
    if (rest.search(part) >= 0) why ||= reason;
    rest = rest.replaceAll(part, "\0");
  };
  discount(/(.)\1{2,}|(.{2,}?)\2+/gs, "repeats itself");
  discount(RUN, "contains a run like abcd, 1234 or qwerty");
  return [rest, why];
};

// Eight characters make zxcvbn's 10^8 guesses. The server knows more words, so nothing here is a
// promise.
const judge = (password, names) => {
  const [rest, why] = discounted(password, names);
  const [length, variety] = [lengthOf(rest), new Set(rest).size];
  if (length < 8 || variety < 6) return [`Could be stronger: it ${why || "has few different characters"}.`, 2];
  if (length < 16 && /^\p{L}+[^\p{L}]*$/u.test(password)) return ["Could be stronger: add another word.", 2];
  return length < 16 || variety < 8 ? ["Long enough. Another word makes it stronger.", 3] : ["Long and varied.", 4];
};

const rate = ({ value, form, attributes }) => {
  const [least, most] = attributes.passwordrules?.value.match(/\d+/g) ?? [];
  const length = lengthOf(value);
  if (length < least) return [`${counted(least - length, "more character")} needed.`, 1];
  if (length > most) return [`${counted(length - most, "character")} too many.`, 1];
  return judge(value, namesIn(form));
};

// Not while the second is typed: once it is as long as the first, or was left.
const compare = (first, second, left) => {
  if (!first || !(left || lengthOf(second) >= lengthOf(first))) return "";
  return first === second ? "Both passwords are the same." : "The two passwords differ.";
};

// A line below a field, there while that is filled: words that come late move no button.
const addLine = (input) => {
  const line = make("p", "advice");
  line.hidden = true;
  input.parentElement.append(line);
  return (words, level = 0) => {
    line.hidden = !input.value;
    line.dataset.level = level;
    return (line.textContent = input.value && words);
  };
};

const addAdvice = (form) => {
  const [first, second] = form.querySelectorAll("input[autocomplete=new-password]");
  if (!second) return;
  const [strength, match] = [first, second].map(addLine);
  let left;
  const advise = ({ target, type }) => {
    left = second.value && (left || type === "blur");
    const words = [strength(...rate(first)), match(compare(first.value, second.value, left))];
    // A name that is typed after the password changes the line, and is not talked over.
    if (target === first) announce(words.join(" "), 500);
    if (target === second) announce(words[1], 500);
  };
  form.addEventListener("input", advise);
  second.addEventListener("blur", advise);
};

// Heard at its end only. Above 90 s the server's minutes stand.
const countDown = (place) => {
  const end = Date.now() + place.dataset.wait * 1000;
  const timer = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 90) return;
    place.textContent = left > 0 ? `in ${counted(left, "second")}` : "now";
    if (left > 0) return;
    clearInterval(timer);
    announce(place.parentElement.textContent);
  }, 1000);
};

// A form is sent once, however often it is pressed. Disabling the button would lose the focus.
let sent, patience;
const settle = () => {
  clearTimeout(patience);
  sent?.submitter?.removeAttribute("aria-busy");
  sent = undefined;
};
const sendOnce = (event) => {
  if (event.defaultPrevented) return;
  if (event.target === sent?.target) return event.preventDefault();
  settle();
  sent = event;
  event.submitter?.setAttribute("aria-busy", "true");
  // The connection may have died: a later press tries again.
  patience = setTimeout(settle, 8000);
};

document.querySelectorAll("input[type=password]").forEach(addReveal);
document.querySelectorAll("form").forEach(addAdvice);
document.querySelectorAll("[data-wait]").forEach(countDown);
// After all other listeners: what one of them stopped is not under way.
addEventListener("submit", sendOnce);
// A page from memory starts anew.
addEventListener("pageshow", settle);
