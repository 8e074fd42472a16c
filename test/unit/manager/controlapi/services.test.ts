import { beforeEach, describe, expect, test } from 'vitest';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import { type ControlFixture, controlFixture, rpc, serviceSpec, versionOf } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

const create = (spec: ServiceSpec) => fixture.control.createService({ spec });
const get = async (ref: string) => await fixture.control.getService({ ref, insertDefaults: false });
const update = (ref: string, spec: ServiceSpec, more: object = {}) =>
  fixture.control.updateService({
    ref,
    version: versionOf(fixture, 'services', 'id1'),
    spec,
    registryAuthFrom: 'spec',
    rollback: false,
    ...more,
  });

describe('createService', () => {
  test('stores the spec with network names as IDs and fills in what Docker fills in', async () => {
    const networks = { TaskTemplate: { Networks: [{ Target: 'net1', Aliases: ['db'] }, { Target: 'host' }] } };
    const ports = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080, PublishMode: 'host' as const }] } };
    const created = await create(serviceSpec('web', { ...networks, ...ports }));
    expect(created).toEqual({ ID: 'id1' });
    const service = await get('web');
    expect(service).toMatchObject({
      ID: 'id1',
      Spec: {
        Name: 'web',
        Labels: {},
        Mode: { Replicated: { Replicas: 1 } },
        TaskTemplate: {
          ForceUpdate: 0,
          Runtime: 'container',
          Networks: [{ Target: 'n1', Aliases: ['db'] }, { Target: 'host' }],
        },
        EndpointSpec: {
          Mode: 'vip',
          Ports: [{ Protocol: 'tcp', PublishMode: 'host', TargetPort: 80, PublishedPort: 8080 }],
        },
      },
      Endpoint: { Spec: {} },
    });
    for (const hidden of ['SpecVersion', 'RegistryAuth', 'UpdateStatus', 'PreviousSpec', 'ServiceStatus']) {
      expect(service).not.toHaveProperty(hidden);
    }
    expect(service['Spec']).not.toHaveProperty('RollbackConfig');
  });

  test('a spec that is read and written back is the spec that is stored', async () => {
    await create(serviceSpec('web'));
    const template = () => fixture.store.view((tx) => tx.get('services', 'id1')?.Spec.TaskTemplate);
    const before = template();
    const shown = (await get('web'))['Spec'] as unknown as ServiceSpec;
    await update('web', { ...shown, Mode: { Replicated: { Replicas: 3 } } });
    expect(template()).toEqual(before);
  });

  test('makes up a name that is free, and one more when all are taken', async () => {
    await create(serviceSpec(''));
    await create(serviceSpec(''));
    const names = (await fixture.control.listServices({ filters: {}, status: false })).map(
      (service) => service['Spec'],
    );
    expect(names).toMatchObject([{ Name: 'amber_acacia' }, { Name: 'amber_acacia0' }]);
  });

  test('warns of ports in ingress mode', async () => {
    const created = await create(serviceSpec('web', { EndpointSpec: { Ports: [{ TargetPort: 80 }] } }));
    expect(created.Warnings).toEqual(['ports published in ingress mode are not reachable yet: use mode=host']);
  });

  const template = (fields: ServiceSpec['TaskTemplate']): Partial<ServiceSpec> => ({ TaskTemplate: fields });
  const container = (fields: object) => template({ ContainerSpec: { Image: 'busybox', ...fields } });
  const invalid = (id: string, spec: Partial<ServiceSpec>, description: string) => ({
    id,
    spec,
    code: 'invalid-argument',
    message: rpc('InvalidArgument', description),
  });
  const secret = { SecretID: 's', SecretName: 's', File: { Name: 'f' } };
  const cases = [
    invalid('bad name', { Name: 'a b' }, 'name must be valid as a DNS name component'),
    invalid('name ends with a dash', { Name: 'web-' }, 'name must be valid as a DNS name component'),
    invalid('long name', { Name: 'a'.repeat(64) }, 'name must be 63 characters or fewer'),
    invalid('no image', container({ Image: '' }), 'ContainerSpec: image reference must be provided'),
    invalid('bad image', container({ Image: 'Bad:' }), 'ContainerSpec: "Bad:" is not a valid repository/tag'),
    invalid(
      'little cpu',
      template({ Resources: { Limits: { NanoCPUs: 1000 } } }),
      'invalid cpu value 1e-06: Must be at least 0.001',
    ),
    invalid(
      'little memory',
      template({ Resources: { Reservations: { MemoryBytes: 100 } } }),
      'invalid memory value 100: Must be at least 4MiB',
    ),
    invalid('restart delay', template({ RestartPolicy: { Delay: -1 } }), 'TaskSpec: restart-delay cannot be negative'),
    invalid(
      'restart window',
      template({ RestartPolicy: { Window: -1 } }),
      'TaskSpec: restart-window cannot be negative',
    ),
    invalid('update delay', { UpdateConfig: { Delay: -1 } }, 'TaskSpec: update-delay cannot be negative'),
    invalid(
      'failure ratio',
      { UpdateConfig: { MaxFailureRatio: 1.5 } },
      'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1',
    ),
    invalid('replicas', { Mode: { Replicated: { Replicas: -1 } } }, 'Number of replicas must be non-negative'),
    invalid(
      'mounts',
      container({ Mounts: [{ Target: '/a' }, { Target: '/a' }] }),
      'ContainerSpec: duplicate mount point: /a',
    ),
    invalid(
      'health',
      container({ Healthcheck: { Interval: 5 } }),
      'ContainerSpec: Interval in HealthConfig cannot be less than 1ms',
    ),
    invalid(
      'dnsrr',
      { EndpointSpec: { Mode: 'dnsrr', Ports: [{ TargetPort: 1 }] } },
      "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
    ),
    invalid(
      'same port twice',
      {
        EndpointSpec: {
          Ports: [
            { TargetPort: 1, PublishedPort: 9 },
            { TargetPort: 2, PublishedPort: 9 },
          ],
        },
      },
      'EndpointSpec: duplicate published ports provided',
    ),
    invalid(
      'port range',
      { EndpointSpec: { Ports: [{ TargetPort: 70_000 }] } },
      'EndpointSpec: invalid target port 70000',
    ),
    invalid(
      'secret without target',
      container({ Secrets: [{ SecretID: 's', SecretName: 's' }] }),
      'malformed secret reference, no target provided',
    ),
    invalid('secret that is not there', container({ Secrets: [secret] }), 'secret not found: s'),
    invalid(
      'configs that are not there',
      container({ Configs: ['a', 'b'].map((n) => ({ ConfigID: n, ConfigName: n, File: { Name: n } })) }),
      'configs not found: a, b',
    ),
    {
      id: 'constraint',
      spec: template({ Placement: { Constraints: ['node.role=x'] } }),
      code: 'unknown',
      message: rpc('Unknown', 'constraint expected one operator from ==, !='),
    },
    {
      id: 'two modes',
      spec: { Mode: { Replicated: {}, Global: {} } },
      code: 'invalid-argument',
      message: 'must specify only one service mode',
    },
    {
      id: 'resolution mode',
      spec: { EndpointSpec: { Mode: 'x' as 'vip' } },
      code: 'invalid-argument',
      message: 'invalid resolution mode: "x"',
    },
    {
      id: 'restart condition',
      spec: template({ RestartPolicy: { Condition: 'x' as 'any' } }),
      code: 'invalid-argument',
      message: 'invalid RestartCondition: "x"',
    },
    {
      id: 'unknown network',
      spec: template({ Networks: [{ Target: 'nope' }] }),
      code: 'not-found',
      message: 'network nope not found',
    },
    {
      id: 'unknown network in the old place',
      spec: { Networks: [{ Target: 'nope' }] },
      code: 'not-found',
      message: 'network nope not found',
    },
    {
      id: 'job',
      spec: { Mode: { ReplicatedJob: {} } },
      code: 'unimplemented',
      message: 'services of mode replicated-job and global-job are not supported yet',
    },
  ];
  test.each(cases)('refuses: $id', async ({ spec, code, message }) => {
    await expect(create(serviceSpec('web', spec))).rejects.toMatchObject({ code, message });
    expect(fixture.store.view((tx) => tx.count('services'))).toBe(0);
  });

  test('refuses no container at all', async () => {
    const spec = { Name: 'web', TaskTemplate: {} };
    await expect(create(spec)).rejects.toMatchObject({ message: 'mismatched Runtime and *Spec fields' });
  });

  test('refuses a name in use, whatever its case', async () => {
    await create(serviceSpec('web'));
    await expect(create(serviceSpec('WEB'))).rejects.toMatchObject({
      code: 'already-exists',
      message: rpc('AlreadyExists', 'name conflicts with an existing object: service WEB already exists'),
    });
  });

  test('refuses secrets that are there: they cannot be delivered', async () => {
    const { ID } = await fixture.control.createSecret({ spec: { Name: 'pw', Data: 'eA==' } });
    const secrets = [{ SecretID: ID, SecretName: 'pw', File: { Name: 'pw' } }];
    await expect(create(serviceSpec('web', container({ Secrets: secrets })))).rejects.toMatchObject({
      code: 'unimplemented',
    });
  });

  const port = (PublishedPort: number, PublishMode: 'host' | 'ingress', Protocol: 'tcp' | 'udp' = 'tcp') => ({
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort, PublishMode, Protocol }] },
  });
  const ports = [
    { id: 'ingress against ingress', held: port(80, 'ingress'), wanted: port(80, 'ingress'), how: 'an ingress' },
    { id: 'host against ingress', held: port(80, 'ingress'), wanted: port(80, 'host'), how: 'an ingress' },
    { id: 'ingress against host', held: port(80, 'host'), wanted: port(80, 'ingress'), how: 'a host-published' },
    { id: 'host against host', held: port(80, 'host'), wanted: port(80, 'host'), how: undefined },
    { id: 'another protocol', held: port(80, 'ingress'), wanted: port(80, 'ingress', 'udp'), how: undefined },
  ];
  test.each(ports)('published ports: $id', async ({ held, wanted, how }) => {
    await create(serviceSpec('one', held));
    const second = create(serviceSpec('two', wanted));
    if (how === undefined) await expect(second).resolves.toHaveProperty('ID');
    else {
      const message = rpc('InvalidArgument', `port '80' is already in use by service 'one' (id1) as ${how} port`);
      await expect(second).rejects.toMatchObject({ code: 'invalid-argument', message });
    }
  });

  test('one of two services that want an ingress port at the same time gets it', async () => {
    const both = await Promise.allSettled(['one', 'two'].map((name) => create(serviceSpec(name, port(80, 'ingress')))));
    expect(both.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });

  test('a service and the removal of its network at the same time do not both succeed', async () => {
    const network = { TaskTemplate: { Networks: [{ Target: 'net1' }] } };
    const creation = create(serviceSpec('web', network));
    const removal = fixture.control.removeNetwork({ ref: 'net1' });
    const results = await Promise.allSettled([creation, removal]);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
    const other = await controlFixture();
    const first = other.control.removeNetwork({ ref: 'net1' });
    const second = other.control.createService({ spec: serviceSpec('web', network) });
    await expect(first).resolves.toEqual({});
    await expect(second).rejects.toMatchObject({ code: 'not-found', message: 'network net1 not found' });
  });
});

describe('shapes', () => {
  const shapes: { id: string; spec: unknown; field: string }[] = [
    { id: 'a number for a name', spec: { Name: 1 }, field: 'Name' },
    { id: 'a word for a list', spec: { TaskTemplate: { Networks: 'net1' } }, field: 'TaskTemplate.Networks' },
    { id: 'a label that is no text', spec: { Labels: { a: 1 } }, field: 'Labels.a' },
    { id: 'half a replica', spec: { Mode: { Replicated: { Replicas: 1.5 } } }, field: 'Mode.Replicated.Replicas' },
    { id: 'a list for an object', spec: { TaskTemplate: [] }, field: 'TaskTemplate' },
    {
      id: 'a null among texts',
      spec: { TaskTemplate: { ContainerSpec: { Env: [null] } } },
      field: 'TaskTemplate.ContainerSpec.Env.0',
    },
    { id: 'no object', spec: 'web', field: 'body' },
    { id: 'null', spec: null, field: 'body' },
  ];
  test.each(shapes)('$id is refused', async ({ spec, field }) => {
    await expect(create(spec as ServiceSpec)).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining(`invalid spec: ${field}: `) as string,
    });
  });

  test('null is the same as absent, and what nobody knows is kept', async () => {
    const nulls = { Labels: null, UpdateConfig: null, EndpointSpec: null, Mode: { Global: null }, Future: { a: [1] } };
    await create(serviceSpec('web', nulls as unknown as Partial<ServiceSpec>));
    const { Spec: spec } = await get('web');
    expect(spec).toMatchObject({ Labels: {}, Mode: { Replicated: { Replicas: 1 } }, Future: { a: [1] } });
    for (const absent of ['UpdateConfig', 'EndpointSpec']) expect(spec).not.toHaveProperty(absent);
  });
});

describe('updateService', () => {
  test('what is shown of a template is the same template when it comes back', async () => {
    await create(
      serviceSpec('web', { TaskTemplate: { RestartPolicy: { Delay: 1e9 } }, UpdateConfig: { Parallelism: 2 } }),
    );
    const before = fixture.store.view((tx) => tx.get('services', 'id1'));
    const { Spec: shown } = await get('web');
    expect(shown).toMatchObject({
      TaskTemplate: { RestartPolicy: { Condition: 'any', Delay: 1e9, MaxAttempts: 0 }, ForceUpdate: 0 },
      UpdateConfig: { Parallelism: 2, FailureAction: 'pause', MaxFailureRatio: 0, Order: 'stop-first' },
    });
    await update('web', shown as unknown as ServiceSpec);
    const after = fixture.store.view((tx) => tx.get('services', 'id1'));
    expect(after?.Spec.TaskTemplate).toEqual(before?.Spec.TaskTemplate);
  });

  test('keeps the spec before, forgets the update in progress, and gives the spec a version of its own', async () => {
    await create(serviceSpec('web'));
    const before = fixture.store.view((tx) => tx.get('services', 'id1'));
    await fixture.store.update((tx) => {
      const service = tx.get('services', 'id1');
      if (service !== undefined) tx.update('services', { ...service, UpdateStatus: { State: 'paused', Message: '' } });
    });
    await update('web', serviceSpec('web', { TaskTemplate: { ForceUpdate: 3 } }));
    const after = fixture.store.view((tx) => tx.get('services', 'id1'));
    expect(after).toMatchObject({ PreviousSpec: before?.Spec, PreviousSpecVersion: before?.SpecVersion });
    expect(after?.Spec.TaskTemplate.ForceUpdate).toBe(3);
    expect(after).not.toHaveProperty('UpdateStatus');
    expect(after?.SpecVersion).not.toBe(before?.SpecVersion);
  });

  test('no two specs ever share a version, through updates and rollbacks', async () => {
    await create(serviceSpec('web'));
    const specs = new Map<number, string>();
    const steps = ['a', 'b', undefined, 'c', undefined, undefined, 'd'];
    for (const image of steps) {
      const spec = serviceSpec('web', { TaskTemplate: { ContainerSpec: { Image: image ?? 'x' } } });
      await update('web', spec, { rollback: image === undefined });
      const service = fixture.store.view((tx) => tx.get('services', 'id1'));
      const key = JSON.stringify(service?.Spec.TaskTemplate);
      expect(specs.get(service?.SpecVersion ?? -1) ?? key).toBe(key);
      specs.set(service?.SpecVersion ?? -1, key);
    }
  });

  test('rollback exchanges the two specs and their credentials', async () => {
    await fixture.control.createService({ spec: serviceSpec('web'), registryAuth: 'old' });
    await update('web', serviceSpec('web', { Labels: { a: 'b' } }), { registryAuth: 'new' });
    await update('web', serviceSpec('web'), { rollback: true });
    expect(fixture.store.view((tx) => tx.get('services', 'id1'))).toMatchObject({
      PreviousSpec: { Labels: { a: 'b' } },
      UpdateStatus: { State: 'rollback_started', Message: 'manually requested rollback' },
      RegistryAuth: 'old',
      PreviousRegistryAuth: 'new',
    });
  });

  test('rollback to a network that was removed since is refused', async () => {
    await create(
      serviceSpec('web', { TaskTemplate: { ContainerSpec: { Image: 'a' }, Networks: [{ Target: 'net1' }] } }),
    );
    await update('web', serviceSpec('web'));
    await fixture.store.update((tx) => tx.remove('networks', 'n1'));
    await expect(update('web', serviceSpec('web'), { rollback: true })).rejects.toMatchObject({ code: 'not-found' });
    expect(fixture.store.view((tx) => tx.get('services', 'id1')?.UpdateStatus)).toBeUndefined();
  });

  const auth = [
    { id: 'given', more: { registryAuth: 'newest' }, expected: 'newest' },
    { id: 'from the spec', more: { registryAuthFrom: 'spec' }, expected: 'new' },
    { id: 'from the previous spec', more: { registryAuthFrom: 'previous-spec' }, expected: 'old' },
  ];
  test.each(auth)('registry credentials $id', async ({ more, expected }) => {
    await fixture.control.createService({ spec: serviceSpec('web'), registryAuth: 'old' });
    await update('web', serviceSpec('web'), { registryAuth: 'new' });
    await update('web', serviceSpec('web'), more);
    expect(fixture.store.view((tx) => tx.get('services', 'id1')?.RegistryAuth)).toBe(expected);
  });

  const refusals = [
    {
      id: 'a stale version',
      spec: serviceSpec('web'),
      more: { version: 1 },
      code: 'unknown',
      message: rpc('Unknown', 'update out of sequence'),
    },
    {
      id: 'another name',
      spec: serviceSpec('other'),
      more: {},
      code: 'unimplemented',
      message: rpc('Unimplemented', 'renaming services is not supported'),
    },
    {
      id: 'another mode',
      spec: serviceSpec('web', { Mode: { Global: {} } }),
      more: {},
      code: 'unimplemented',
      message: rpc('Unimplemented', 'service mode change is not allowed'),
    },
    {
      id: 'networks in the old place',
      spec: serviceSpec('web', { Networks: [{ Target: 'net1' }] }),
      more: {},
      code: 'unimplemented',
      message: rpc('Unimplemented', 'networks must be migrated to TaskSpec before being changed'),
    },
    {
      id: 'a rollback to nothing',
      spec: serviceSpec('web'),
      more: { rollback: true },
      code: 'failed-precondition',
      message: rpc('FailedPrecondition', 'service id1 does not have a previous spec'),
    },
  ];
  test.each(refusals)('refuses $id', async ({ spec, more, code, message }) => {
    await create(serviceSpec('web'));
    await expect(update('web', spec, more)).rejects.toMatchObject({ code, message });
  });

  test('of two updates by the same version one wins', async () => {
    await create(serviceSpec('web'));
    const both = await Promise.allSettled([update('web', serviceSpec('web')), update('web', serviceSpec('web'))]);
    expect(both[0]?.status).toBe('fulfilled');
    expect(both[1]).toMatchObject({ reason: { message: rpc('Unknown', 'update out of sequence') } });
  });

  test('its own ports do not conflict', async () => {
    const spec = serviceSpec('web', { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80 }] } });
    await create(spec);
    const more = { EndpointSpec: { Ports: [{ TargetPort: 81, PublishedPort: 80 }] } };
    await expect(update('web', { ...spec, ...more })).resolves.toHaveProperty('Warnings');
  });
});
