import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DockerfileParser, type Instruction, type PropertyInstruction } from 'dockerfile-ast';
import { validate as lintDockerfile } from 'dockerfile-utils';
import { load, YAML11_SCHEMA } from 'js-yaml';
import type { AppConfig } from '../../src/server/config/app.config';
import { CONFIG_VARIABLES } from '../../src/server/config/config-variables';
import { loadAppConfig } from '../../src/server/config/load-app-config';
import { checkManifestTypes } from '../support/kubernetes-types';
import { kustomize, type Manifest, readManifests } from '../support/kustomize';
import { describeWithNats } from '../support/nats-cluster';
import { rootDir } from '../support/paths';
import { tempFolders } from '../support/temp-folder';

const deployDir = join(rootDir, 'deploy');
const read = (...path: string[]) => readFileSync(join(rootDir, ...path), 'utf8');

const { version } = JSON.parse(read('package.json')) as { version: string };
const { paths } = JSON.parse(read('docs', 'openapi.json')) as { paths: Record<string, { get?: object }> };
const files = readdirSync(deployDir, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(rootDir, join(entry.parentPath, entry.name)));
const pages = [...files, 'docs/deployment.md'];

/** Settings of the secrets, which no file of `deploy` holds. */
const SECRETS = { FACE_GALLERY_KEY: 'k'.repeat(32), FACE_GALLERY_NATS_PASSWORD: 'secret' };
/** Time in which workers end after the last request: docs/operations.md#behind-a-load-balancer. */
const WORKERS_END_MS = 5000;
/** The probe of a balancer notices the end of a replica before the replica stops serving: two of its intervals. */
const NOTICED_AFTER_CHECKS = 2;

const instructions = DockerfileParser.parse(read('deploy', 'docker', 'Dockerfile')).getInstructions();
const last = (keyword: string) => instructions.findLast((one) => one.getKeyword() === keyword) as Instruction;
const properties = (keyword: string) =>
  Object.fromEntries(
    (last(keyword) as PropertyInstruction)
      .getProperties()
      .map((one) => [one.getName(), one.getValue() as string]),
  );
const imageEnv = properties('ENV');
const [uid] = (last('USER').getArgumentsContent() as string).split(':').map(Number);

/** The settings of a container: those of the image, of its file, and the secrets. */
const settings = (env: Record<string, string>): AppConfig =>
  loadAppConfig({ ...imageEnv, ...SECRETS, ...env });
const neededMs = ({ shutdownDelayMs, face }: AppConfig) =>
  shutdownDelayMs + face.requestTimeoutMs + WORKERS_END_MS;
const bytes = (text: string): number => {
  const [, amount, unit] = /^(\d+)([gmk]|[GM]i)$/.exec(text) as unknown as [string, string, string];
  return Number(amount) * 1024 ** { k: 1, m: 2, Mi: 2, g: 3, Gi: 3 }[unit]!;
};
const plannedBytes = ({ face, gallery }: AppConfig) =>
  Number(face.memoryBudgetBytes) + Number(gallery.maxBytes);

describe('the files of deploy', () => {
  it.each(pages)('%s names settings that exist, and the image of this version', (file) => {
    const text = read(file);
    const named = [...text.matchAll(/\bFACE_[A-Z_]*[A-Z]\b/g)].map(([name]) => name);
    expect(named.filter((name) => !(name in CONFIG_VARIABLES))).toEqual([]);
    const tags = [...text.matchAll(/\blikeness:(\d[\w.-]*)/g)].map(([, tag]) => tag);
    expect(tags.filter((tag) => tag !== version)).toEqual([]);
  });

  it('are linked from docs/deployment.md or from the folder above', () => {
    const text = read('docs', 'deployment.md');
    const links = [...text.matchAll(/\]\(\.\.\/(deploy\/[^)#]+)\)/g)].map(([, path]) => path);
    const unnamed = files.filter((file) => !links.some((link) => file.startsWith(link)));
    // Those are part of the files that are linked.
    expect(unnamed).toEqual(
      [
        'deploy/docker/Dockerfile',
        'deploy/compose/Caddyfile',
        'deploy/compose/nats.conf',
        'deploy/kubernetes/secrets.example.yaml',
      ].sort(),
    );
  });
});

describe('the Dockerfile', () => {
  it('has no problem that a linter knows', () => {
    expect(lintDockerfile(read('deploy', 'docker', 'Dockerfile')).map(({ message }) => message)).toEqual([]);
  });

  it('has the Node of .nvmrc, and the version and license of the package', () => {
    expect(last('ARG').getArgumentsContent()).toMatch(
      new RegExp(`^NODE_IMAGE=node:${read('.nvmrc').trim()}-\\w+-slim$`),
    );
    expect(properties('LABEL')).toMatchObject({
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': JSON.parse(read('package.json')).license,
    });
  });

  it('has a health check of a route, and shows the ports of its settings', () => {
    const { port, healthPort } = loadAppConfig({ ...imageEnv, FACE_AUTH: 'off' });
    expect(last('EXPOSE').getArgumentsContent()).toBe(`${port} ${healthPort}`);
    const [path] = /\/health\/\w+/.exec(
      last('HEALTHCHECK').getArgumentsContent() as string,
    ) as RegExpExecArray;
    expect(paths[path]).toHaveProperty('get');
  });

  it('installs native packages that exist for both processor types', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      packages: Record<
        string,
        { optionalDependencies?: Record<string, string>; hasInstallScript?: boolean; dev?: boolean }
      >;
    };
    const prebuilt = (name: string) =>
      Object.keys(packages[`node_modules/${name}`].optionalDependencies ?? {});
    for (const cpu of ['x64', 'arm64']) {
      expect(prebuilt('sharp')).toEqual(
        expect.arrayContaining([`@img/sharp-linux-${cpu}`, `@img/sharp-libvips-linux-${cpu}`]),
      );
      expect(prebuilt('lmdb')).toContain(`@lmdb/lmdb-linux-${cpu}`);
      for (const folder of ['fs-native-extensions/prebuilds', 'onnxruntime-node/bin/napi-v6/linux']) {
        const names = readdirSync(join(rootDir, 'node_modules', folder));
        expect(names.map((name) => name.replace('linux-', ''))).toContain(cpu);
      }
    }
  });
});

/** Compose files merge maps by `<<`, which is a key of YAML 1.1. */
const YAML_OF_COMPOSE = { schema: YAML11_SCHEMA };

interface Service {
  image: string;
  read_only: boolean;
  cap_drop: string[];
  security_opt: string[];
  mem_limit: string;
  environment?: Record<string, string>;
  stop_grace_period?: string;
  ports?: string[];
  logging: { options: Record<string, string> };
}

describe.each(['compose.yaml', 'compose.replicas.yaml'])('deploy/compose/%s', (file) => {
  const { services } = load(read('deploy', 'compose', file), YAML_OF_COMPOSE) as {
    services: Record<string, Service>;
  };
  const replicas = Object.entries(services).filter(([, { image }]) => image === `likeness:${version}`);

  it('confines every container, and limits its memory and its logs', () => {
    for (const service of Object.values(services)) {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        mem_limit: expect.any(String),
        logging: { options: { 'max-size': expect.any(String), 'max-file': expect.any(String) } },
      });
    }
  });

  it('has settings that the service takes, the time to end, and the memory that is planned', () => {
    expect(replicas.length).toBeGreaterThan(0);
    for (const [, { environment, stop_grace_period, mem_limit }] of replicas) {
      const config = settings(environment!);
      expect(parseInt(stop_grace_period!) * 1000).toBeGreaterThanOrEqual(neededMs(config));
      expect(plannedBytes(config)).toBeLessThan(bytes(mem_limit));
      expect(config.gallery.store).toBe(file === 'compose.yaml' ? 'durable' : 'jetstream');
    }
  });
});

describe('the proxy of deploy/compose', () => {
  const caddyfile = read('deploy', 'compose', 'Caddyfile');
  const { services, networks } = load(
    read('deploy', 'compose', 'compose.replicas.yaml'),
    YAML_OF_COMPOSE,
  ) as {
    services: Record<string, Service>;
    networks: { front: { ipam: { config: { subnet: string }[] } } };
  };
  const config = settings(services['likeness-1'].environment!);

  it('asks each replica for its health on the right port, often enough', () => {
    const upstreams = /reverse_proxy (.+) \{/.exec(caddyfile)?.[1].split(' ');
    const names = Object.keys(services).filter((name) => name.startsWith('likeness-'));
    expect(upstreams).toEqual(names.map((name) => `${name}:${config.port}`));
    const [, path] = /health_uri (\S+)/.exec(caddyfile) as RegExpExecArray;
    expect(paths[path]).toHaveProperty('get');
    expect(caddyfile).toContain(`health_port ${config.healthPort}`);
    const [, seconds] = /health_interval (\d+)s/.exec(caddyfile) as RegExpExecArray;
    expect(config.shutdownDelayMs).toBeGreaterThan(NOTICED_AFTER_CHECKS * Number(seconds) * 1000);
  });

  it('is the one whose host and address the replicas trust', () => {
    const [, host] = /^(\S+) \{\n\ttls/m.exec(caddyfile) as RegExpExecArray;
    expect(config.allowedHosts).toEqual([host]);
    expect(services['likeness-1'].environment!.FACE_TRUST_PROXY).toBe(networks.front.ipam.config[0].subnet);
  });

  const hasCaddy = spawnSync('caddy', ['version']).status === 0;
  (hasCaddy ? it : it.skip)('has a configuration that Caddy takes (needs caddy)', () => {
    const args = ['adapt', '--adapter', 'caddyfile', '--config', join(deployDir, 'compose', 'Caddyfile')];
    const { status, stderr } = spawnSync('caddy', args, { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('error')]);
  });
});

describeWithNats('deploy/compose/nats.conf', () => {
  const tempFolder = tempFolders();

  it('is a configuration that the server takes', () => {
    const folder = tempFolder();
    copyFileSync(join(deployDir, 'compose', 'nats.conf'), join(folder, 'nats.conf'));
    writeFileSync(join(folder, 'nats-users.conf'), 'authorization { user: likeness, password: "secret" }\n');
    const { status, stderr } = spawnSync('nats-server', ['-t', '-c', join(folder, 'nats.conf')], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, expect.stringContaining('configuration file')]);
  });
});

describe.each(['durable', 'replicas'])('deploy/kubernetes/overlays/%s', (name) => {
  const manifests = kustomize(join(deployDir, 'kubernetes', 'overlays', name));
  const workload = manifests.find(({ kind }) => ['Deployment', 'StatefulSet'].includes(kind)) as Manifest;
  const { spec } = workload.spec.template;
  const [container] = spec.containers;
  const config = settings(
    Object.fromEntries(container.env.map((one: { name: string; value: string }) => [one.name, one.value])),
  );

  it('has objects of one name and label that refer to each other', () => {
    const of = (kind: string) => manifests.find((one) => one.kind === kind)!;
    const { labels } = workload.spec.template.metadata;
    expect(workload.spec.selector.matchLabels).toEqual(labels);
    expect(of('Service').spec.selector).toEqual(labels);
    expect(of('NetworkPolicy').spec.podSelector.matchLabels).toEqual(labels);
    expect(of('ServiceAccount').metadata.name).toBe(spec.serviceAccountName);
    const ports = container.ports.map((port: { name: string }) => port.name);
    expect(ports).toContain(of('Service').spec.ports[0].targetPort);
    if (name === 'durable') return;
    expect(of('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
    expect(of('ScaledObject').spec.scaleTargetRef.name).toBe(workload.metadata.name);
  });

  it('mounts what it declares, over the writable folders of the image', () => {
    const volumes = [
      ...spec.volumes,
      ...(workload.spec.volumeClaimTemplates ?? []).map((one: Manifest) => one.metadata),
    ];
    const mounts = container.volumeMounts as { name: string; mountPath: string }[];
    expect(mounts.map((mount) => mount.name).sort()).toEqual(volumes.map((volume) => volume.name).sort());
    const written = JSON.parse(last('VOLUME').getArgumentsContent() as string) as string[];
    expect(mounts.map(({ mountPath }) => mountPath)).toEqual(expect.arrayContaining([...written, '/tmp']));
    const secrets = readManifests(join(deployDir, 'kubernetes', 'secrets.example.yaml')).map(
      ({ metadata }) => metadata.name,
    );
    const asked = [
      ...spec.volumes.flatMap(
        (volume: { secret?: { secretName: string } }) => volume.secret?.secretName ?? [],
      ),
      container.envFrom[0].secretRef.name,
    ];
    expect(asked.sort()).toEqual(secrets.sort());
  });

  it('confines the pod as the user of the image', () => {
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: uid,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('has settings that the service takes, probes of its routes, and the time to end', () => {
    const numbers = container.ports.map((port: { containerPort: number }) => port.containerPort);
    expect(numbers).toEqual([config.port, config.healthPort]);
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      expect(container[probe].httpGet.port).toBe('health');
      expect(paths[container[probe].httpGet.path]).toHaveProperty('get');
    }
    expect(spec.terminationGracePeriodSeconds * 1000).toBeGreaterThanOrEqual(neededMs(config));
    // The probe notices before the service stops serving.
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    expect(NOTICED_AFTER_CHECKS * periodSeconds * failureThreshold * 1000).toBeLessThan(
      config.shutdownDelayMs,
    );
    expect(plannedBytes(config)).toBeLessThan(bytes(container.resources.limits.memory));
    expect(config.gallery.store).toBe(name === 'durable' ? 'durable' : 'jetstream');
  });
});

describe('all objects of Kubernetes', () => {
  const tempFolder = tempFolders();
  const folder = join(deployDir, 'kubernetes');
  const manifests = [
    ...['durable', 'replicas'].flatMap((name) => kustomize(join(folder, 'overlays', name))),
    ...kustomize(join(folder, 'components', 'prometheus-adapter')),
    ...readManifests(join(folder, 'secrets.example.yaml')),
  ];
  // A custom resource: KEDA publishes no types.
  const typed = manifests.filter(({ kind }) => kind !== 'ScaledObject');

  it('have the fields that the types of Kubernetes have', () => {
    expect(checkManifestTypes(typed, tempFolder())).toEqual([]);
  });

  it('would not have them with a misspelled name', () => {
    const [service] = typed;
    const misspelled = { ...service, spec: { ...service.spec, selectors: {} } };
    expect(checkManifestTypes([misspelled], tempFolder())).toEqual([expect.stringContaining('selectors')]);
  });
});

describe('deploy/systemd/likeness.service', () => {
  const unit = join(deployDir, 'systemd', 'likeness.service');

  it('gives the service the time to end that its shutdown delay of up to 10 s needs', () => {
    const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(readFileSync(unit, 'utf8')) as RegExpExecArray;
    expect(Number(seconds) * 1000).toBeGreaterThanOrEqual(
      neededMs(loadAppConfig({ FACE_SHUTDOWN_DELAY_MS: '10000' })),
    );
  });

  const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;
  (hasSystemd ? it : it.skip)('has no error, and a low exposure (needs systemd-analyze)', () => {
    const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
    expect([verified.status, verified.stderr]).toEqual([0, '']);
    // The scale of systemd-analyze: 10 is unconfined; above 4.9 it calls a unit exposed.
    const rated = spawnSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit], {
      encoding: 'utf8',
    });
    expect([rated.status, rated.stdout]).toEqual([0, expect.stringContaining('OK')]);
  });
});
