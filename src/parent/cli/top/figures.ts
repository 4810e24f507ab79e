/** Figures that fit into a few columns. */

const UNITS = ['', 'k', 'M', 'G', 'T', 'P'];
const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_BARS = ['_', '.', '-', '=', '+', '*', '%', '#'];

/** Unit, its length in milliseconds, and from how many on the next one is used. */
const DURATIONS = [
  ['ms', 1, 1000],
  ['s', 1000, 100],
  ['m', 60_000, 100],
  ['h', 3_600_000, 48],
  ['d', 86_400_000, Infinity],
] as const;

/** At most five characters: 0, 7, 999, 1.2k, 45k, 1.5M. */
export function short(value: number): string {
  let scaled = value;
  let unit = 0;
  while (scaled >= 999.5 && unit < UNITS.length - 1) {
    scaled /= 1000;
    unit++;
  }
  const digits = unit > 0 && scaled < 9.95 ? scaled.toFixed(1) : scaled.toFixed(0);
  return digits + UNITS[unit];
}

/** At most five characters, in whole units: 0ms, 999ms, 99s, 99m, 47h, 1000d. */
export function duration(ms: number): string {
  for (const [unit, length, most] of DURATIONS) {
    const value = Math.floor(ms / length);
    if (value < most) return `${value}${unit}`;
  }
  return '';
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

/** The latest `width` values as bars, the highest of them a full one; the latest stands right. */
export function graph(values: readonly number[], width: number, isUtf8: boolean): string {
  const bars = isUtf8 ? BARS : ASCII_BARS;
  const shown = values.slice(-width);
  const most = Math.max(...shown, 0);
  const drawn = shown.map((value) => {
    if (value <= 0) return ' ';
    return bars[Math.min(bars.length - 1, Math.floor((value / most) * (bars.length - 1)))] ?? ' ';
  });
  return drawn.join('').padStart(width);
}
