import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { SECRET_SETTINGS, SETTING_KEYS, SettingsSchema, type SettingKey, type Settings } from '../../config/schema.ts';
import type { SettingSources } from '../../config/settings-file.ts';
import { requireAllStreams } from '../authorize.ts';

export const SettingViewSchema = z.object({
  key: z.string(),
  value: z.unknown().meta({ description: 'Missing for secrets.' }).optional(),
  default: z.unknown().optional(),
  source: z.enum(['default', 'file', 'environment']),
  secret: z.boolean().optional().meta({ description: 'true: the value is not shown.' }),
  set: z.boolean().meta({ description: 'Whether it is another value than the default.' }),
});
export type SettingView = z.output<typeof SettingViewSchema>;

/** The settings of the gateway, without secrets. To be registered below `/api/v1`. */
export const settingsRoutes = (settings: Settings, sources: SettingSources = new Map()): FastifyPluginAsync => {
  const defaults = SettingsSchema.parse({});
  const viewOf = (key: SettingKey): SettingView => {
    const [value, standard] = [settings[key], defaults[key]];
    const common = {
      key,
      source: sources.get(key) ?? 'default',
      set: JSON.stringify(value) !== JSON.stringify(standard),
    } as const;
    return SECRET_SETTINGS.has(key) ? { ...common, secret: true } : { ...common, value, default: standard };
  };
  return async (app) => {
    const views = SETTING_KEYS.map(viewOf);
    app.get('/settings', { config: { action: 'admin' }, preHandler: requireAllStreams }, async () => views);
  };
};
