import { EXIT } from './failure.mjs';
import { megabytes, print, since } from './output.mjs';
import { readEvents } from './event-stream.mjs';

const RECORDING_COLUMNS = {
  ID: ({ id }) => id,
  STREAM: ({ stream }) => stream,
  STATE: ({ state }) => state,
  FILE: ({ file }) => file,
  LENGTH: ({ durationMs }) => `${Math.round(durationMs / 1000)} s`,
  SIZE: ({ bytes }) => megabytes(bytes),
  UPLOAD: ({ storage }) => storage && [storage.state, storage.reason].filter(Boolean).join(': '),
};
const NODE_COLUMNS = {
  NODE: ({ id }) => id,
  STATE: ({ state }) => state,
  STREAMS: ({ publications, capacity }) => `${publications} of ${capacity}`,
  PUSHES: ({ pushes }) => pushes,
  CPU: ({ cpu }) => `${Math.round(cpu * 100)} %`,
  VERSION: ({ version }) => version,
  SINCE: ({ startedAt }) => since(startedAt),
};

/** @param {import('commander').Command & Record<string, any>} cli */
export function addOperationCommands(cli) {
  const record = cli.command('record').description('recordings');
  for (const [name, method] of [
    ['start', 'startRecording'],
    ['stop', 'stopRecording'],
  ])
    record
      .command(`${name} <stream>`)
      .description(`${name} recording a stream`)
      .action(async (streamName) => cli.api().post(`rest-api/stream/${method}`, { streamName }));
  record
    .command('list [stream]', { isDefault: true })
    .description('recordings, the latest first')
    .action(async (stream) => {
      const query = stream === undefined ? '' : `?stream=${encodeURIComponent(stream)}`;
      await cli.list(`api/v1/recordings${query}`, RECORDING_COLUMNS, 'recordings', (page) => page.recordings);
    });

  const nodes = cli.command('nodes').description('the nodes of a cluster; --url names its manager');
  nodes
    .command('list', { isDefault: true })
    .description('nodes')
    .action(() => cli.list('api/v1/nodes', NODE_COLUMNS, 'nodes'));
  nodes
    .command('drain <id>')
    .description('move the streams of a node to others, and end it')
    .option('--no-move', 'wait until its streams end')
    .action(async (id, { move }) =>
      cli.api().ask(`api/v1/nodes/${encodeURIComponent(id)}/drain?move=${move}`, { method: 'POST' }),
    );

  cli
    .command('events')
    .description('what has happened')
    .option('-f, --follow', 'and what happens from now on, until Ctrl-C')
    .action(async ({ follow }) => {
      for await (const event of readEvents(cli.api(), follow))
        if (cli.json()) process.stdout.write(`${JSON.stringify(event)}\n`);
        else process.stdout.write(`${event.at}  ${event.type.padEnd(20)}  ${event.text}\n`);
    });

  cli
    .command('health')
    .description(`the state of the gateway: exit code ${EXIT.unhealthy} unless it takes streams`)
    .action(async () => {
      const response = await cli.api().open('health', { accept: [503] });
      const health = await response.json();
      print(cli.json(), health, () =>
        Object.entries(health)
          .map(([name, value]) => `${name}: ${text(value)}`)
          .join('\n'),
      );
      if (!response.ok) cli.finish(EXIT.unhealthy);
    });
}

const text = (value) =>
  typeof value === 'object' && value !== null
    ? Object.entries(value)
        .map(([name, inner]) => `${inner} ${name}`)
        .join(', ')
    : value;
