import { readFileSync } from 'node:fs';
import type { Json } from '../../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../../proto/objects/service.ts';
import { collect, CommandError, requireArgs, type Verb } from '../../command.ts';
import { authHeader } from '../../registry-auth.ts';
import { addConvergenceFlags, type ConvergenceFlags, waitForConvergence } from './convergence.ts';
import { addCreateListFlags, applyListFlags } from './spec/list-flags.ts';
import { type HostEnvironment, withHostValues } from './spec/host-environment.ts';
import { pinImage } from './spec/image-digest.ts';
import { resolveReferences } from './spec/references.ts';
import { addScalarFlags, applyScalarFlags } from './spec/scalar-flags.ts';

type Flags = Record<string, Json | undefined> &
  ConvergenceFlags & {
    name?: string;
    mode: string;
    envFile?: string[];
    resolveImage?: boolean;
  };

export const addCreate: Verb = (noun, act) => {
  const command = noun
    .command('create')
    .description('Create a new service')
    .argument('[image...]', 'IMAGE [COMMAND] [ARG...]')
    .passThroughOptions()
    .option('--name <string>', 'Service name')
    .option('--mode <string>', 'Service mode ("replicated", "global")', 'replicated')
    .option('--env-file <file>', 'Read in a file of environment variables', collect)
    .option('--no-resolve-image', 'Do not query the registry to resolve image digest and supported platforms')
    .option('--with-registry-auth', 'Send registry authentication details to swarm agents');
  addCreateListFlags(addScalarFlags(addConvergenceFlags(command))).action(
    act<Flags>(async (context, flags, args) => {
      requireArgs('service create', args, 1);
      const spec = createSpec(flags, args, process.env);
      await resolveReferences(context, spec);
      const unpinned = flags.resolveImage === false ? undefined : await pinImage(context, spec);
      const headers = flags['withRegistryAuth'] === true ? authHeader(args[0] ?? '', process.env) : {};
      const answer = await context.client.post<Created>('/services/create', spec, {}, headers);
      for (const warning of [...(answer.Warnings ?? []), unpinned ?? []].flat()) context.warn(warning);
      context.print(answer.ID);
      if (flags.detach !== true) await waitForConvergence(context, answer.ID, flags.quiet === true);
    }),
  );
};

interface Created {
  ID: string;
  Warnings?: string[] | null;
}

/** The spec that a command line asks for; what it does not say stays absent. */
function createSpec(flags: Flags, [image = '', ...args]: readonly string[], host: HostEnvironment): ServiceSpec {
  const spec: ServiceSpec = {
    Name: flags.name ?? '',
    Labels: {},
    TaskTemplate: {
      ContainerSpec: { Image: image, ...(args.length === 0 ? {} : { Args: args }), Init: false, DNSConfig: {} },
      Resources: { Limits: {}, Reservations: {} },
      Placement: {},
      ForceUpdate: 0,
    },
    Mode: modeOf(flags),
    EndpointSpec: { Mode: 'vip' },
  };
  const env = [...(flags.envFile ?? []).flatMap(readEnvFile), ...((flags['env'] as string[] | undefined) ?? [])];
  const given = env.length === 0 ? flags : { ...flags, env: withHostValues(env, host) };
  applyListFlags(spec, given as Record<string, string[]>);
  applyScalarFlags(spec, flags);
  return spec;
}

function modeOf(flags: Flags): NonNullable<ServiceSpec['Mode']> {
  if (flags.mode === 'global') return { Global: {} };
  if (flags.mode === 'replicated') return { Replicated: {} };
  if (flags.mode === 'replicated-job') return { ReplicatedJob: {} };
  if (flags.mode === 'global-job') return { GlobalJob: {} };
  throw new CommandError(`Unknown mode: ${flags.mode}, only replicated and global supported`);
}

function readEnvFile(file: string): string[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.map((line) => line.trimStart()).filter((line) => line !== '' && !line.startsWith('#'));
}
