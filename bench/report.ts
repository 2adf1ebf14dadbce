import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Figure } from './measure.ts';

export type Cell = string | number | Figure | undefined;

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** A line plot or, with `bars`, groups of bars. */
export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [x: number | string, y: number])[];
  }[];
}

/** The results of one benchmark. */
export interface Report {
  readonly name: string;
  readonly tables: readonly Table[];
  readonly plot: Plot;
  /** Further results, for the JSON. */
  readonly data: unknown;
}

const FOLDER = new URL('./results/', import.meta.url).pathname;
const COLOURS = ['#1b6ca8', '#d1495b', '#3a7d44', '#edae49', '#6d597a', '#555555'];

/** Writes to stderr, so that stdout holds only the tables. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

export async function publishReport(report: Report): Promise<void> {
  for (const table of report.tables) process.stdout.write(`\n${renderTable(table)}\n`);
  await mkdir(FOLDER, { recursive: true });
  const machine = {
    cores: cpus().length,
    processor: cpus()[0]?.model,
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    node: process.version,
    ffmpeg: ffmpegVersion(),
  };
  await writeFile(
    join(FOLDER, `${report.name}.json`),
    `${JSON.stringify({ name: report.name, measuredAt: new Date().toISOString().slice(0, 10), machine, tables: report.tables, data: report.data }, roundNumbers, 1)}\n`,
  );
  await writeFile(join(FOLDER, `${report.name}.svg`), renderPlot(report.plot));
  process.stdout.write(`\nwritten: bench/results/${report.name}.json, ${report.name}.svg\n`);
}

const roundNumbers = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;

function ffmpegVersion(): string {
  return /version (\S+)/.exec(execFileSync('ffmpeg', ['-version'], { encoding: 'utf8' }))?.[1] ?? '';
}

const number = (value: number): string =>
  Number.isNaN(value)
    ? '–'
    : Math.abs(value) >= 100
      ? value.toFixed(0)
      : Math.abs(value) >= 10
        ? value.toFixed(1)
        : value.toFixed(2);

function renderCell(cell: Cell): string {
  if (cell === undefined) return '–';
  if (typeof cell === 'string') return cell;
  if (typeof cell === 'number') return Number.isInteger(cell) ? String(cell) : number(cell);
  return `${number(cell.median)} (${number(cell.low)}–${number(cell.high)})`;
}

/** Renders Markdown, padded for a terminal. */
export function renderTable({ title, columns, rows }: Table): string {
  const cells = [columns, ...rows.map((row) => row.map(renderCell))];
  const widths = columns.map((_, index) => Math.max(3, ...cells.map((row) => row[index]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, index) => (index === 0 ? cell.padEnd(widths[index]!) : cell.padStart(widths[index]!))).join(' | ')} |`;
  const rule = `| ${widths.map((width, index) => (index === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [`### ${title}`, '', line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n');
}

/** Largest number of legible labels. */
const MOST_LABELS = 20;

/** All labels, or round numbers if there are too many. */
function shownLabels(labels: readonly (number | string)[]): readonly (number | string)[] {
  if (labels.length <= MOST_LABELS) return labels;
  const last = Math.max(...labels.map(Number));
  const step = [1, 2, 5, 10, 20, 50, 100].find((size) => last / size <= MOST_LABELS) ?? last;
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, index) => index * step);
}

/** Renders a plot as SVG. */
export function renderPlot({ title, x, y, series }: Plot): string {
  const [width, height, left, bottom, top, right] = [720, 400, 64, 56, 40, 170];
  const labels = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))];
  const numeric = labels.every((label) => typeof label === 'number');
  const highest =
    Math.max(1e-9, ...series.flatMap(({ points }) => points.map(([, value]) => value).filter(Number.isFinite))) * 1.1;
  const span = numeric ? Math.max(...(labels as number[])) : labels.length;
  const atX = (label: number | string): number =>
    left + (numeric ? (label as number) / span : (labels.indexOf(label) + 0.5) / span) * (width - left - right);
  const atY = (value: number): number => height - bottom - (value / highest) * (height - bottom - top);
  const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="22" font-size="15">${escape(title)}</text>`,
    ...[0, 0.25, 0.5, 0.75, 1].map((part) => {
      const value = highest * part;
      return `<path d="M${left} ${atY(value).toFixed(1)}H${width - right}" stroke="#ddd"/><text x="${left - 6}" y="${(atY(value) + 4).toFixed(1)}" text-anchor="end">${number(value)}</text>`;
    }),
    ...shownLabels(labels).map(
      (label) =>
        `<text x="${atX(label).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${escape(String(label))}</text>`,
    ),
    `<text x="${(left + width - right) / 2}" y="${height - 12}" text-anchor="middle">${escape(x)}</text>`,
    `<text transform="rotate(-90)" x="${-(top + height - bottom) / 2}" y="16" text-anchor="middle">${escape(y)}</text>`,
  ];
  series.forEach(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length]!;
    const shown = points.filter(([, value]) => Number.isFinite(value));
    if (numeric) {
      parts.push(
        `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${shown.map(([at, value]) => `${atX(at).toFixed(1)},${atY(value).toFixed(1)}`).join(' ')}"/>`,
      );
      if (shown.length <= MOST_LABELS)
        for (const [at, value] of shown)
          parts.push(`<circle cx="${atX(at).toFixed(1)}" cy="${atY(value).toFixed(1)}" r="3" fill="${colour}"/>`);
    } else {
      const bar = Math.min(40, (width - left - right) / span / (series.length + 1));
      for (const [at, value] of shown) {
        const from = atX(at) + (index - series.length / 2) * bar;
        parts.push(
          `<rect x="${from.toFixed(1)}" y="${atY(value).toFixed(1)}" width="${(bar * 0.9).toFixed(1)}" height="${(height - bottom - atY(value)).toFixed(1)}" fill="${colour}"/>`,
        );
      }
    }
    parts.push(
      `<rect x="${width - right + 12}" y="${top + index * 20}" width="12" height="12" fill="${colour}"/><text x="${width - right + 30}" y="${top + index * 20 + 10}">${escape(name)}</text>`,
    );
  });
  return `${parts.join('\n')}\n</svg>\n`;
}
