import { z } from 'zod';

/**
 * WCS's `restClientConfig`: what an application server answers to `connect` about the further hooks of the connection.
 */

/** The hooks that this gateway calls. */
const HOOK_METHODS = [
  'connect',
  'publishStream',
  'playStream',
  'unPublishStream',
  'stopStream',
  'ConnectionStatusEvent',
  'StreamStatusEvent',
  'OnDataEvent',
  'sendData',
] as const;
export type HookMethod = (typeof HOOK_METHODS)[number];

/** Comma-separated names of fields. */
const fields = z
  .string()
  .max(4096)
  .nullish()
  .transform((text) =>
    (text ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean),
  );
const upperCase = (text: unknown): unknown => (typeof text === 'string' ? text.trim().toUpperCase() : text);

const MethodSchema = z.object({
  restOnError: z.preprocess(upperCase, z.enum(['FAIL', 'LOG'])).optional(),
  /** WCS's documentation says DISABLE in some places and DISABLED in others. */
  restPolicy: z.preprocess(upperCase, z.enum(['NOTIFY', 'OVERWRITE', 'DISABLE', 'DISABLED'])).optional(),
  /** Fields that are not sent. */
  restExclude: fields,
  /** Fields that are taken from the answer. None named: all. */
  restOverwrite: fields,
});
export const RestClientConfigSchema = z.partialRecord(z.string(), z.unknown()).transform((config, context) => {
  const known = new Map<HookMethod, MethodConfig>();
  for (const method of HOOK_METHODS) {
    if (config[method] === undefined || config[method] === null) continue;
    const parsed = MethodSchema.safeParse(config[method]);
    if (parsed.success) known.set(method, toMethodConfig(parsed.data));
    else {
      const field = [method, ...(parsed.error.issues[0]?.path ?? [])].map(String).join('.');
      context.addIssue({ code: 'custom', message: `restClientConfig.${field} is not valid` });
      return z.NEVER;
    }
  }
  return known;
});

/** How one hook is called for a connection. */
export interface MethodConfig {
  /** Whether a failure of the application server refuses what was asked. */
  readonly failOnError: boolean;
  readonly policy: 'NOTIFY' | 'OVERWRITE' | 'DISABLED';
  readonly exclude: readonly string[];
  readonly overwrites: (field: string) => boolean;
}
export type RestClientConfig = ReadonlyMap<HookMethod, MethodConfig>;

/** Decisions fail closed unless the application server asks for something else. */
export const DEFAULT_METHOD: MethodConfig = {
  failOnError: true,
  policy: 'NOTIFY',
  exclude: [],
  overwrites: () => false,
};

function toMethodConfig({
  restOnError,
  restPolicy = 'NOTIFY',
  restExclude,
  restOverwrite,
}: z.output<typeof MethodSchema>): MethodConfig {
  const policy = restPolicy === 'DISABLE' ? 'DISABLED' : restPolicy;
  return {
    failOnError: restOnError !== 'LOG',
    policy,
    exclude: restExclude,
    overwrites: (field) => policy === 'OVERWRITE' && (restOverwrite.length === 0 || restOverwrite.includes(field)),
  };
}
