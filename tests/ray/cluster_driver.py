"""What a user of a cluster of others does there; `python cluster_driver.py FUNCTION` prints its result as JSON."""

import json
import sys

import httpx

from cluster.endpoint import application
from cluster.endpoint.ray_cluster import connected_ray, shipped_packages


def serve_of_the_cluster():
    """Where it listens."""
    with connected_ray():
        return application.listens_at()


def serve_beside_others():
    """What is answered by three applications while ours runs beside two of others, and after that."""
    from ray import serve

    port = application.free_port()
    model = {"name": "m", "source": "none", "revision": "r", "gpus": 0}
    with connected_ray() as ray_here:
        assert not ray_here.is_own
        application.deploy(_config("foreign", model, port=port, name="declared"))
        import applications  # as the nodes have it

        serve.run(applications.foreign({}), name="program", route_prefix="/program")
        ours = _config("ours", model, port=port, name="ours", runtime_env=shipped_packages())
        with application.running(ours):
            during = _answers(port)
        return {"during": during, "after": _answers(port)}


def _config(application, model, *, name, **options):
    application.IMPORT_PATH = f"applications:{application}"
    return application.serve_config([model], None, host="127.0.0.1", name=name, route_prefix=f"/{name}", **options)


def _answers(port):
    answers = {path: httpx.get(f"http://127.0.0.1:{port}{path}") for path in ("/declared", "/program", "/ours")}
    return {path: answer.text if answer.is_success else None for path, answer in answers.items()}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]]()))
