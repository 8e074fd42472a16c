import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ServiceSpec } from '../../../../../proto/objects/service.ts';
import { prettyService } from '../../../../../cli/commands/service/pretty-service.ts';

/** What the docker CLI 20.10.24 prints of services on one network, `net1`. */
const golden = JSON.parse(
  readFileSync(new URL('../../../../fixtures/docker-cli-pretty-services.json', import.meta.url), 'utf8'),
) as { id: string; spec: ServiceSpec; text: string }[];

test.for(golden)('prints what docker prints: $id', ({ spec, text }) => {
  const service = {
    ID: 'svcid',
    Version: { Index: 7 },
    CreatedAt: '',
    Spec: spec,
    Endpoint: { Spec: spec.EndpointSpec ?? {} },
  };
  const networks = spec.TaskTemplate.Networks === undefined ? [] : ['net1'];
  expect(`${prettyService(service, networks, 0).join('\n')}\n`).toBe(text);
});
