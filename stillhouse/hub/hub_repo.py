"""A repository of the Hugging Face hub, through its own client: endpoint and token are its."""

from __future__ import annotations

from stillhouse.errors import AccessDenied, DownloadError, ModelNotFound, Offline, StillhouseError
from stillhouse.hub import transfer
from stillhouse.hub.partial import PartialFile
from stillhouse.hub.progress import Progress
from stillhouse.hub.quantizations import choose
from stillhouse.hub.references import HubReference
from stillhouse.hub.store import StoredFile


class HubRepo:
    """The GGUF files of one quantisation, at the commit that was current when it was asked."""

    scratch_bytes = 0

    def __init__(self, reference: HubReference) -> None:
        from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        endpoint = constants.ENDPOINT
        try:
            info = HfApi(endpoint=endpoint).model_info(reference.repo, files_metadata=True)
            listed = {entry.rfilename: entry for entry in info.siblings or ()}
            paths = choose(
                listed,
                repo=reference.repo,
                quantization=reference.quantization,
                file=reference.file,
            )
            self._urls = {
                path.rpartition("/")[2]: hf_hub_url(
                    reference.repo, path, revision=info.sha, endpoint=endpoint
                )
                for path in paths
            }
            self._headers = build_hf_headers()
            # The listing of a gated repository is public; only asking for a file shows the gate.
            get_hf_file_metadata(next(iter(self._urls.values())), headers=self._headers)
        except StillhouseError:
            raise
        except Exception as error:
            raise our_error(error, reference.repo, endpoint) from error
        self.origin = f"hf:{reference.repo}@{info.sha}"
        self.files = tuple(
            StoredFile(
                path.rpartition("/")[2],
                listed[path].size,
                lfs["sha256"] if (lfs := listed[path].lfs) else None,
            )
            for path in paths
        )

    def fetch(self, file: StoredFile, into: PartialFile, progress: Progress) -> None:
        transfer.fetch(
            self._urls[file.name],
            into,
            size_bytes=file.size_bytes,
            headers=self._headers,
            progress=progress,
        )


def our_error(error: Exception, repo: str, endpoint: str) -> Exception:
    """Our error for one of the client's; what is not the user's is returned as it came."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return AccessDenied(
            f"{repo} is gated",
            hint=f"accept its terms at {endpoint}/{repo}, then run 'hf auth login' or set HF_TOKEN",
        )
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return ModelNotFound(
            f"the hub has no repository {repo}",
            hint="check its name; a private one needs 'hf auth login' or HF_TOKEN",
        )
    if isinstance(error, errors.EntryNotFoundError):
        return ModelNotFound(f"{repo} lists a file that it does not have", hint="try again later")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return Offline("HF_HUB_OFFLINE is set", hint="unset it to pull from the hub")
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "no status"
        return DownloadError(f"the hub answered {status} for {repo}", hint="try again later")
    # The client has changed its HTTP library twice; the bases of "no connection" kept their names.
    if {base.__name__ for base in type(error).__mro__} & {"TransportError", "ConnectionError"}:
        return transfer.offline(endpoint)
    return error
