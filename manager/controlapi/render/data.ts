import type { ConfigObject, SecretObject } from '../../../proto/objects/secret.ts';
import type { ApiObject } from '../control-api.ts';
import { apiObject, withLabels } from './api-object.ts';

/** A secret without its data, which is never read back. */
export function renderSecret(secret: SecretObject): ApiObject {
  const { Data: _data, ...spec } = secret.Spec;
  return apiObject(secret, { Spec: withLabels(spec) });
}

export function renderConfig(config: ConfigObject): ApiObject {
  return apiObject(config, { Spec: withLabels(config.Spec) });
}
