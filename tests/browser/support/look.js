// Runs in the page: what an eye would find wrong with how it is laid out. Each function answers a
// list of complaints in words.

window.look = (() => {
  const CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const TICKS = ["checkbox", "radio"];

  const all = (selector) => [...document.querySelectorAll(selector)].filter(isSeen);

  /** Not what is there for screen readers alone, nor what waits above the page. */
  function isSeen(element) {
    const { width, height, bottom } = element.getBoundingClientRect();
    const hasRoom = width > 1 && height > 1 && bottom + scrollY > 0;
    return hasRoom && element.checkVisibility({ visibilityProperty: true });
  }

  function name(element) {
    const words = element.labels?.[0]?.textContent ?? element.textContent;
    return `<${element.localName}> "${words.trim().replace(/\s+/g, " ").slice(0, 40)}"`;
  }

  /** Red, green, blue and alpha, whatever the style sheet writes its colours in. */
  function rgba(colour) {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  }

  function luminance([...rgb]) {
    const [r, g, b] = rgb.map((byte) => {
      const part = byte / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(one, other) {
    const [dark, light] = [luminance(rgba(one)), luminance(rgba(other))].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  function ground(element) {
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if (rgba(backgroundColor)[3] > 0) return backgroundColor;
    }
    return "white";
  }

  return {
    /** WCAG 1.4.10: nothing beside the window, nothing that scrolls or is cut off by itself. */
    room() {
      const { scrollWidth, clientWidth } = document.documentElement;
      const found = scrollWidth > clientWidth ? [`scrolls sideways: ${scrollWidth} px in ${clientWidth}`] : [];
      for (const element of all("body *:not(svg *)")) {
        const { left, right } = element.getBoundingClientRect();
        if (left < -1 || right > clientWidth + 1) found.push(`${name(element)} sticks out`);
        const style = getComputedStyle(element);
        const isBox = style.display !== "inline" && !element.matches("input, textarea, select, iframe");
        const isWide = element.scrollWidth > element.clientWidth + 1;
        const isHigh = element.scrollHeight > element.clientHeight + 1;
        // A button that is too small for its words loses them, whether or not it cuts them off.
        const holds = element.localName === "button" || element.localName === "body";
        if (isBox && isWide && (holds || style.overflowX !== "visible")) found.push(`${name(element)} is too narrow`);
        if (isBox && isHigh && (holds || style.overflowY !== "visible")) found.push(`${name(element)} is too low`);
      }
      return found;
    },

    /** WCAG 2.5.8 for every target; the house's 44 px for what is typed in and what sends. */
    targets() {
      return all(CONTROLS).flatMap((element) => {
        const { width, height } = element.getBoundingClientRect();
        const isInput = element.matches("input, select, textarea") && !TICKS.includes(element.type);
        const least = isInput || (element.localName === "button" && element.type === "submit") ? 44 : 24;
        const isSmall = height < least - 0.5 || width < 23.5;
        return isSmall ? [`${name(element)} is ${width.toFixed()} x ${height.toFixed()} px, not ${least}`] : [];
      });
    },

    /** WCAG 1.4.11, and letters that make no phone zoom in. */
    inputs() {
      return all("input, select, textarea").filter((input) => !TICKS.includes(input.type)).flatMap((input) => {
        const style = getComputedStyle(input);
        const ratio = contrast(style.borderTopColor, ground(input.parentElement));
        const found = [];
        if (parseFloat(style.borderTopWidth) < 1) found.push(`${name(input)} has no outline`);
        if (ratio < 3) found.push(`the outline of ${name(input)} has a contrast of ${ratio.toFixed(2)}, not 3`);
        if (parseFloat(style.fontSize) < 16) found.push(`${name(input)} has letters of ${style.fontSize}`);
        return found;
      });
    },

    /** WCAG 1.4.11 for boxes that say what happened, and one colour alone around each. */
    boxes() {
      return all(".notice, .summary").flatMap((box) => {
        const { borderTopColor, outlineColor, outlineStyle } = getComputedStyle(box);
        const ratio = contrast(borderTopColor, ground(box.parentElement));
        const found = ratio < 3 ? [`the edge of ${name(box)} has a contrast of ${ratio.toFixed(2)}, not 3`] : [];
        const isRinged = outlineStyle !== "none" && outlineColor !== borderTopColor;
        return isRinged ? [...found, `a ring of another colour lies around ${name(box)}`] : found;
      });
    },

    /** What tells the kinds of notices apart: class, sign, colour of the edge, word. */
    notices() {
      return all(".notice").map((box) => [
        box.className,
        getComputedStyle(box, "::before").content,
        getComputedStyle(box).borderTopColor,
        box.querySelector(".sr-only").textContent.trim(),
      ]);
    },

    /** For forced colours, where only borders are left. */
    borders() {
      return all("button, input, select, textarea").filter((input) => !TICKS.includes(input.type)).flatMap((element) => {
        const style = getComputedStyle(element);
        const isDrawn = ["Top", "Right", "Bottom", "Left"].every((side) =>
          style[`border${side}Style`] !== "none" &&
          parseFloat(style[`border${side}Width`]) >= 1 &&
          rgba(style[`border${side}Color`])[3] > 0);
        const ratio = contrast(style.borderTopColor, ground(element));
        return isDrawn && ratio >= 3 ? [] : [`${name(element)} has no border`];
      });
    },

    /** For people who asked for less motion: colours may fade, nothing may move. */
    motion() {
      const still = /^(none|.*(color|colour|opacity|shadow|fill|stroke|outline|decoration|visibility).*)$/;
      const moves = (style) => {
        const times = style.transitionDuration.split(",").map(parseFloat);
        const properties = style.transitionProperty.split(",");
        const slides = Math.max(...times) > 0.01 && !properties.every((property) => still.test(property.trim()));
        const plays = style.animationName !== "none" && parseFloat(style.animationDuration) > 0.01;
        return slides || plays || style.scrollBehavior === "smooth";
      };
      return [...document.querySelectorAll("*")]
        .filter((element) => [null, "::before", "::after"].some((part) => moves(getComputedStyle(element, part))))
        .map((element) => `${name(element)} moves`);
    },

    /** On paper, which is white: browsers leave backgrounds out. */
    paper() {
      const found = all("h1").length === 1 ? [] : ["the heading is not printed"];
      for (const element of all("main h1, main h2, main p, main label, main dd, main pre")) {
        const ratio = contrast(getComputedStyle(element).color, "white");
        const isOnPaper = rgba(ground(element)).slice(0, 3).every((byte) => byte > 200);
        if (isOnPaper && ratio < 4.5) found.push(`${name(element)} has a contrast of ${ratio.toFixed(2)} on paper`);
      }
      return found;
    },

    /** The frame of every page. */
    frame() {
      const count = (selector) => document.querySelectorAll(selector).length;
      const found = ["h1", "main"].filter((tag) => count(tag) !== 1).map((tag) => `${count(tag)} ${tag}`);
      if (!/^[a-z]{2}\b/.test(document.documentElement.lang)) found.push("no lang");
      return found;
    },

    /** Headings, text, fields and buttons start at one left edge. */
    axis() {
      const inside = "main > h1, main > p, main label[for]:not(.checkbox *), main .field input, main form:not(.clear) > button, main .ways";
      // Of words, not of the box around them, in which they may be centred.
      const left = (element) => {
        const range = document.createRange();
        range.selectNodeContents(element);
        const isBox = element.matches("input, button");
        return (isBox ? element : range).getBoundingClientRect().left;
      };
      const edges = all(`${inside}, .foot p`).map((element) => [element, left(element)]);
      const [, first] = edges[0];
      return edges.filter(([, left]) => Math.abs(left - first) > 2).map(([element, left]) =>
        `${name(element)} starts at ${left.toFixed()} px, not at ${first.toFixed()}`);
    },

    /** How wide the widest of these is, in pixels. */
    widest(selector) {
      return Math.max(...all(selector).map((element) => element.getBoundingClientRect().width));
    },

    /** Where the last of these ends, in pixels from the top. */
    lowest(selector) {
      return Math.max(...all(selector).map((element) => element.getBoundingClientRect().bottom));
    },
  };
})();
