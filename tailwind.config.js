// The design tokens: every colour, typeface and measure of the pages, by what it is for.

// Contrast on `sheet`: text colours at least 4.5:1, `line` (input outlines) at least 3:1, in both schemes.
const colours = {
  //           light      dark
  paper:      ["#f4f1ea", "#141311"], // the wall
  depth:      ["#ebe6db", "#1a1815"], // the depth of the doorway: nothing is written on it
  sheet:      ["#fffefb", "#1f1d1a"], // what one reads on, in the doorway
  ink:        ["#23201b", "#ece7de"],
  quiet:      ["#5d564c", "#b3aa9c"],
  line:       ["#857b6d", "#8d8375"],
  rule:       ["#e2dccf", "#37332c"], // decoration only: no meaning rests on it
  accent:     ["#1d5b50", "#83cbb9"],
  "accent-hover": ["#123e37", "#a9e0d2"], // under the pointer
  "on-accent": ["#fffefb", "#0e211c"],
  alarm:      ["#a3241b", "#ff9f91"],
  "alarm-tint": ["#fcf0ed", "#2d1a17"],
  good:       ["#22663a", "#86cf9b"],
  "good-tint": ["#e8f2ea", "#17271c"],
  warn:       ["#7d5200", "#e5b45a"],
  "warn-tint": ["#fbf0d9", "#2b2211"],
};

const scheme = (index) => Object.fromEntries(Object.entries(colours).map(([name, pair]) => [`--${name}`, pair[index]]));

/** @type {import("tailwindcss").Config} */
module.exports = {
  theme: {
    colors: Object.fromEntries(Object.keys(colours).map((name) => [name, `var(--${name})`])),
    fontFamily: {
      // Named and not `system-ui`: that is the wide DejaVu Sans on a plain Linux.
      sans: ["-apple-system", "Segoe UI", "Adwaita Sans", "Cantarell", "Inter", "Roboto", "Noto Sans", "Liberation Sans", "Arial", "sans-serif"],
      serif: ["Iowan Old Style", "Palatino Linotype", "Palatino", "P052", "Noto Serif", "Liberation Serif", "Georgia", "serif"],
      mono: ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
    },
    extend: {
      minHeight: { target: "var(--target)" }, // an input or a button that a thumb can hit
    },
  },
  plugins: [
    ({ addBase }) => addBase({
      ":root": { "color-scheme": "light dark", ...scheme(0) },
      "@media (prefers-color-scheme: dark)": { ":root": scheme(1) },
    }),
  ],
};
