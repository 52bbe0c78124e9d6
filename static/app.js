// Comforts for those who run scripts. Everything works without them.

// A form is sent once, however often its button is pressed. The button is never disabled: a press
// that does nothing would leave people wondering.
for (const form of document.forms) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
  // A page that comes back from the browser's memory can be sent again.
  addEventListener("pageshow", () => { sent = false; });
}
