import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { SETTING_KEYS } from '../../../src/config/schema.ts';
import { environmentName } from '../../../src/config/settings-file.ts';

/** The manifests of deploy/kubernetes and compose.cluster.yaml: their shape, and whether what they name exists. */

const ROOT = join(import.meta.dirname, '../../..');
const FOLDER = join(ROOT, 'deploy/kubernetes');
const VARIABLES = new Set(SETTING_KEYS.map(environmentName));

const name = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
const labels = z.record(z.string(), z.string());
const portName = z.string().regex(/^[a-z0-9-]{1,15}$/);
const portNumber = z.int().min(1).max(65_535);
const probe = z.strictObject({
  httpGet: z.strictObject({ path: z.string().startsWith('/'), port: portNumber }).optional(),
  tcpSocket: z.strictObject({ port: portNumber }).optional(),
  initialDelaySeconds: z.int().optional(),
  periodSeconds: z.int().optional(),
  failureThreshold: z.int().optional(),
});
const quantities = z.partialRecord(z.enum(['cpu', 'memory']), z.string().regex(/^\d+(?:m|Mi|Gi)?$/));
const container = z.strictObject({
  name,
  image: z.string().regex(/^[\w./-]+:[\w.-]+$/, 'an image with a tag'),
  args: z.array(z.string()).optional(),
  env: z
    .array(
      z.union([
        z.strictObject({ name: z.string(), value: z.string() }),
        z.strictObject({
          name: z.string(),
          valueFrom: z.union([
            z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.enum(['metadata.name', 'status.hostIP']) }) }),
            z.strictObject({ secretKeyRef: z.strictObject({ name, key: name }) }),
          ]),
        }),
      ]),
    )
    .optional(),
  ports: z.array(
    z.strictObject({
      name: portName,
      containerPort: portNumber,
      hostPort: portNumber.optional(),
      protocol: z.enum(['TCP', 'UDP']).optional(),
    }),
  ),
  readinessProbe: probe,
  livenessProbe: probe.optional(),
  lifecycle: z
    .strictObject({ preStop: z.strictObject({ exec: z.strictObject({ command: z.array(z.string()).min(1) }) }) })
    .optional(),
  securityContext: z
    .strictObject({
      allowPrivilegeEscalation: z.literal(false),
      readOnlyRootFilesystem: z.literal(true),
      capabilities: z.strictObject({ drop: z.tuple([z.literal('ALL')]) }),
    })
    .optional(),
  resources: z.strictObject({ requests: quantities, limits: quantities }),
  volumeMounts: z.array(z.strictObject({ name, mountPath: z.string() })).optional(),
});
const workload = {
  metadata: z.strictObject({ name }),
  apiVersion: z.literal('apps/v1'),
};
const podSpec = {
  replicas: z.int().min(1),
  selector: z.strictObject({ matchLabels: labels }),
  template: z.strictObject({
    metadata: z.strictObject({ labels }),
    spec: z.strictObject({
      terminationGracePeriodSeconds: z.int().optional(),
      containers: z.array(container).length(1),
      volumes: z.array(z.strictObject({ name, emptyDir: z.strictObject({}) })).optional(),
    }),
  }),
};
const Manifest = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('Service'),
    apiVersion: z.literal('v1'),
    metadata: z.strictObject({ name }),
    spec: z.strictObject({
      clusterIP: z.literal('None').optional(),
      publishNotReadyAddresses: z.boolean().optional(),
      selector: labels,
      ports: z.array(z.strictObject({ name: portName, port: portNumber, targetPort: portNumber })),
    }),
  }),
  z.strictObject({
    ...workload,
    kind: z.literal('Deployment'),
    spec: z.strictObject({ ...podSpec, strategy: z.strictObject({ type: z.literal('Recreate') }).optional() }),
  }),
  z.strictObject({
    ...workload,
    kind: z.literal('StatefulSet'),
    spec: z.strictObject({ ...podSpec, serviceName: name, podManagementPolicy: z.literal('Parallel').optional() }),
  }),
]);
type Workload = Extract<z.output<typeof Manifest>, { kind: 'Deployment' | 'StatefulSet' }>;

const manifests = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.yaml'))
  .flatMap((file) =>
    parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => document.toJS() as unknown),
  );
const parsed = manifests.map((manifest) => Manifest.parse(manifest));
const workloads = parsed.filter((manifest): manifest is Workload => manifest.kind !== 'Service');
const services = parsed.filter((manifest) => manifest.kind === 'Service');

t.test('services select the pods of a workload, and its ports exist', async (t) => {
  t.strictSame(workloads.map(({ metadata }) => metadata.name).sort(), ['manager', 'node', 'redis']);
  for (const { metadata, spec } of services) {
    const target = workloads.find(({ spec: its }) => its.template.metadata.labels['app'] === spec.selector['app']);
    t.ok(target, metadata.name);
    const ports = target!.spec.template.spec.containers[0]!.ports.map(({ containerPort }) => containerPort);
    for (const { targetPort } of spec.ports) t.ok(ports.includes(targetPort), `${metadata.name} ${targetPort}`);
  }
  for (const { spec } of workloads) t.strictSame(spec.selector.matchLabels, spec.template.metadata.labels);
  const node = workloads.find(({ kind }) => kind === 'StatefulSet') as Extract<Workload, { kind: 'StatefulSet' }>;
  t.ok(services.some(({ metadata }) => metadata.name === node.spec.serviceName));
});

t.test('gateways get settings that exist, and what a cluster needs', async (t) => {
  for (const { metadata, spec } of workloads.filter(({ metadata: { name: its } }) => its !== 'redis')) {
    const { env = [], readinessProbe, livenessProbe, volumeMounts = [] } = spec.template.spec.containers[0]!;
    const variables = env.map((one) => one.name);
    for (const variable of variables)
      t.ok(VARIABLES.has(variable) || variable === 'POD_NAME', `${metadata.name}: ${variable}`);
    for (const needed of ['CLUSTER_REDIS_URL', 'STATE_KEY', 'REST_API_KEY']) t.ok(variables.includes(needed), needed);
    t.equal(readinessProbe.httpGet?.path, '/health/ready');
    t.equal(livenessProbe?.httpGet?.path, '/health/live');
    const volumes = spec.template.spec.volumes?.map((volume) => volume.name) ?? [];
    for (const mount of volumeMounts) t.ok(volumes.includes(mount.name));
  }
  const node = workloads.find(({ metadata }) => metadata.name === 'node')!;
  const [{ env = [], lifecycle, ports }] = node.spec.template.spec.containers as [z.output<typeof container>];
  t.match(lifecycle?.preStop.exec.command.join(' '), /server\/drain/);
  const drain = Number(env.flatMap((one) => (one.name === 'DRAIN_TIMEOUT_S' && 'value' in one ? [one.value] : []))[0]);
  t.ok(drain + 15 <= node.spec.template.spec.terminationGracePeriodSeconds!, 'the drain ends before the pod is killed');
  t.strictSame(
    ports
      .filter(({ hostPort }) => hostPort)
      .map(({ protocol, hostPort, containerPort }) => [protocol, hostPort === containerPort]),
    [
      ['UDP', true],
      ['TCP', true],
    ],
  );
});

t.test('compose.cluster.yaml: two nodes with ports of their own, a manager, settings that exist', async (t) => {
  const compose = z
    .object({
      services: z.record(
        z.string(),
        z.looseObject({
          environment: z.record(z.string(), z.string()).optional(),
          ports: z.array(z.string()).optional(),
        }),
      ),
    })
    .parse(parse(readFileSync(join(ROOT, 'compose.cluster.yaml'), 'utf8'), { merge: true }));
  const { services: all } = compose;
  t.strictSame(Object.keys(all).sort(), ['manager', 'node-1', 'node-2', 'redis', 'rtmp']);
  for (const [service, { environment = {}, ports = [] }] of Object.entries(all)) {
    for (const variable of Object.keys(environment)) t.ok(VARIABLES.has(variable), `${service}: ${variable}`);
    if (!service.startsWith('node-')) continue;
    t.equal(environment['NODE_ID'], service);
    t.equal(environment['NODE_URL'], `http://${service}:8081`);
    t.equal(ports.filter((port) => port.includes(`:${environment['RTC_PORT']}:`)).length, 2);
  }
  t.equal(all['manager']!.environment?.['ROLE'], 'manager');
});
