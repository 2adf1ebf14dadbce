import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { html } from 'htm/preact';
import uPlot from 'uplot';

/**
 * @typedef {object} Series
 * @property {string} label
 * @property {readonly import('./live-feed.js').Sample[]} samples
 * @property {string} number its name in the samples
 */

/** Seconds. */
const [SPAN, SHORTEST_SPAN] = [600, 60];
const HEIGHT = 140;
const COLORS = ['--accent', '--good', '--warn', '--bad', '--soft'];

/** Changes with the colours of the page, which a canvas does not follow by itself. */
const scheme = signal(0);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => scheme.value++);

const color = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * Figures over the last ten minutes. What is drawn is in words too.
 *
 * @param {{ title: string, series: readonly Series[], format: (value: number) => string }} props
 */
export function Chart({ title, series, format }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const chart = useRef(/** @type {uPlot | undefined} */ (undefined));
  const labels = series.map(({ label }) => label);
  const data = aligned(series);
  useEffect(() => {
    const { current: box } = host;
    if (!box) return undefined;
    const axis = {
      stroke: resolved('--soft'),
      grid: { stroke: resolved('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    };
    const plot = new uPlot(
      {
        ...{ width: box.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false } },
        scales: {
          x: { range: (_, first) => rangeSince(first) },
          y: { range: (_, __, max) => [0, Math.max(1, (max ?? 0) * 1.1)] },
        },
        axes: [
          { ...axis, values: (_, times) => times.map((time) => clock(time)), space: 90 },
          { ...axis, size: 72, values: (_, values) => values.map((value) => format(value)), space: 22 },
        ],
        series: [
          {},
          ...labels.map((label, index) => ({
            label,
            stroke: resolved(colorOf(index)),
            width: 2,
            points: { show: false },
          })),
        ],
      },
      data,
      box,
    );
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: HEIGHT }));
    observer.observe(box);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [labels.join('\n'), scheme.value]);
  useEffect(() => chart.current?.setData(data));
  return html`<figure class="chart">
    <figcaption>
      <strong>${title}</strong>
      ${series.map(({ label, samples, number }, index) => {
        const text = `${label} ${format(samples.at(-1)?.numbers[number] ?? 0)}`;
        return html`<span class="key" key=${label}><i class=${`color${index % COLORS.length}`}></i>${text}</span>`;
      })}
    </figcaption>
    <div ref=${host} aria-hidden="true"></div>
  </figure>`;
}

/** @param {number | null} first @returns {[number, number]} */
function rangeSince(first) {
  const now = Date.now() / 1000;
  return [Math.min(Math.max(first ?? now, now - SPAN), now - SHORTEST_SPAN), now];
}

const colorOf = (/** @type {number} */ index) => COLORS[index % COLORS.length] ?? '--accent';

/** The variables are `light-dark()`, which only an element resolves. @param {string} name */
function resolved(name) {
  const probe = document.createElement('i');
  probe.style.color = color(name);
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const clock = (/** @type {number} */ time) => new Date(time * 1000).toLocaleTimeString();

/** One time axis for all. @param {readonly Series[]} series @returns {uPlot.AlignedData} */
function aligned(series) {
  const now = Date.now() / 1000;
  const tables = series.map(({ samples, number }) => {
    // Numbers that do not change are not sent again.
    const last = samples.at(-1);
    const all = last ? [...samples, { at: now, numbers: last.numbers }] : samples;
    return /** @type {uPlot.AlignedData} */ ([
      all.map(({ at }) => at),
      all.map(({ numbers }) => numbers[number] ?? null),
    ]);
  });
  if (tables.length === 0) return [[now]];
  return uPlot.join(
    tables,
    tables.map((table) => table.map(() => 2)),
  );
}
