import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { ERROR_KINDS } from '../../../src/errors.ts';
import { Metrics } from '../../../src/observe/metrics.ts';

/** The dashboard and the alert rules use only metrics that exist. */

const ROOT = join(import.meta.dirname, '../../..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Metrics that some part of the gateway registers, and those of the process. */
async function existingMetrics(): Promise<Set<string>> {
  const registered = globSync('src/**/*.ts', { cwd: ROOT }).flatMap((file) =>
    [...read(file).matchAll(/'(gateway_[a-z_]+)'/g)].map(([, name]) => name!),
  );
  const ofProcess = [...(await new Metrics().render()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!);
  return new Set([...registered, ...ofProcess]);
}

const metricsIn = (expression: string): string[] =>
  [...expression.matchAll(/\b(?:gateway|process|nodejs)_[a-z0-9_]+/g)].map(([name]) => name);

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
}

const rules = (parse(read('config/alerts.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
const dashboard = JSON.parse(read('config/grafana-dashboard.json')) as {
  panels: { id: number; title: string; targets: { expr: string }[] }[];
};

t.test('the alert rules', async (t) => {
  const existing = await existingMetrics();
  t.ok(rules.length > 5);
  t.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length, 'names are unique');
  for (const { alert, expr, annotations } of rules) {
    const used = metricsIn(expr);
    t.ok(used.length > 0, alert);
    for (const name of used) t.ok(existing.has(name), `${alert}: ${name}`);
    t.ok(annotations.summary, alert);
    for (const [code] of expr.matchAll(/\b[A-Z]+_[A-Z_]+\b/g)) t.ok(code in ERROR_KINDS, `${alert}: ${code}`);
  }
});

t.test('the dashboard', async (t) => {
  const existing = await existingMetrics();
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  for (const { title, targets } of dashboard.panels)
    for (const { expr } of targets) {
      const used = metricsIn(expr);
      t.ok(used.length > 0, title);
      for (const name of used) t.ok(existing.has(name), `${title}: ${name}`);
    }
});
